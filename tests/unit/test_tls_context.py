"""Files and names as a client's TLS context: what it trusts and shows, and what is said of those that can't be used."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from unit.tls_remote import Remote, found, talk_to

from lbkit.checks import context
from lbkit.checks.context import Terms
from lbkit.checks.tls import layer
from lbkit.errors import Misuse
from lbkit.testing import ThrowawayCA

PASSWORD = b"open sesame"
PAST = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def ca(throwaway_ca):
    return throwaway_ca


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(PASSWORD + b"\n")
    return str(path)


def joined(path, *paths):
    path.write_bytes(b"".join(Path(one).read_bytes() for one in paths))
    return str(path)


# --- identities -----------------------------------------------------------------------------------------------------


def shows(ca, **options):
    """The client certificate that a remote gets to see."""
    server = ca.server_context(wants_client=True)
    remote = Remote(server)
    talk = talk_to(remote, ca_file=ca.ca_file, **options)
    assert talk.outcome.up, talk.outcome.message
    return remote.client


def test_an_encrypted_key_is_opened_with_the_password_of_a_file(ca, password_file):
    locked = ca.locked(ca.client, PASSWORD)
    assert "client.lbkit.test" in str(
        shows(ca, cert_file=locked.cert_file, key_file=locked.key_file, key_password_file=password_file)
    )


@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_pfx_is_an_identity_whatever_its_name(ca, password_file, password, tmp_path):
    path = joined(tmp_path / "identity.pem", ca.pfx(ca.client, password))
    files = {"key_password_file": password_file} if password else {}
    assert "client.lbkit.test" in str(shows(ca, cert_file=path, **files))


def test_the_chain_of_a_pfx_is_shown_too(ca, tmp_path):
    root = trustme.CA()
    issued = root.create_child_ca().issue_cert("below.lbkit.test")
    whole = type(ca.client)(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(whole.cert_file, append=True)
    issued.private_key_pem.write_to_path(whole.key_file)
    server = ca.server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    root.configure_trust(server)
    assert talk_to(Remote(server), ca_file=ca.ca_file, cert_file=ca.pfx(whole, None)).outcome.up


def test_the_key_of_a_pfx_is_never_written_to_a_disk_and_its_memory_is_let_go(ca, no_file_is_left_open):
    seen = []
    assert (
        context.with_pem(Terms(cert_file=ca.pfx(ca.client, None)), lambda path: seen.append(os.readlink(path))) is None
    )
    assert seen[0].startswith("/memfd:")


# --- trust ----------------------------------------------------------------------------------------------------------


def test_without_verification_of_the_name_the_chain_still_counts(ca, tmp_path):
    """As HAProxy does it for a server without `verifyhost`."""
    remote = Remote(ca.server_context(ca.issue("other.example")))
    assert talk_to(remote, ca_file=ca.ca_file, verify_name=False).outcome.up
    remote = Remote(ThrowawayCA(tmp_path).server_context())
    assert found(talk_to(remote, ca_file=ca.ca_file, verify_name=False)) == (False, "tls", "certificate-untrusted")


def test_a_remote_that_is_not_on_the_revocation_list_is_up(ca):
    crl_file = ca.revocation_list(ca.client)
    assert talk_to(Remote(ca.server_context()), ca_file=ca.ca_file, crl_file=crl_file).outcome.up


def test_a_remote_whose_certificate_is_revoked_is_down(ca):
    crl_file = ca.revocation_list(ca.server)
    talk = talk_to(Remote(ca.server_context()), ca_file=ca.ca_file, crl_file=crl_file)
    assert found(talk) == (False, "tls", "certificate-revoked")
    assert "was revoked by its CA" in talk.outcome.message


def test_a_ca_without_a_revocation_list_is_named_as_what_is_missing(ca, tmp_path):
    other = ThrowawayCA(tmp_path)
    both = joined(tmp_path / "both.pem", ca.ca_file, other.ca_file)
    talk = talk_to(Remote(ca.server_context()), ca_file=both, crl_file=other.revocation_list())
    assert found(talk) == (False, "tls", "revocation-unknown")
    assert "Every CA of its chain, the root too, needs its list in --crl-file" in talk.outcome.message


def test_an_outdated_revocation_list_is_named(ca):
    talk = talk_to(Remote(ca.server_context()), ca_file=ca.ca_file, crl_file=ca.revocation_list(next_update=PAST))
    assert found(talk) == (False, "tls", "revocation-unknown")
    assert "outdated: fetch that CA's new one" in talk.outcome.message


def test_certificates_beside_revocation_lists_are_misuse_unless_they_are_trusted_anyhow(ca, tmp_path):
    """OpenSSL would trust them without a word."""
    other = ThrowawayCA(tmp_path)
    both = joined(tmp_path / "both.pem", ca.revocation_list(), other.ca_file)
    assert "holds certificates beside its revocation lists" in misuse(ca_file=ca.ca_file, crl_file=both)
    both = joined(tmp_path / "both.pem", ca.revocation_list(), ca.ca_file)
    assert talk_to(Remote(ca.server_context()), ca_file=both, crl_file=both).outcome.up


# --- files that change ----------------------------------------------------------------------------------------------


def greets(ready, remote):
    return talk_to(remote, ready=ready).outcome


def test_a_renewed_certificate_is_shown_by_the_next_conversation(ca, tmp_path):
    expired = ca.issue("client.lbkit.test", not_after=PAST)
    ours = type(expired)(
        joined(tmp_path / "our.pem", expired.cert_file), joined(tmp_path / "our.key", expired.key_file)
    )
    ready = layer(Terms(ca_file=ca.ca_file, cert_file=ours.cert_file, key_file=ours.key_file))
    server = ca.server_context(wants_client=True)
    assert greets(ready, Remote(server)).reason == "client-certificate-refused"
    joined(tmp_path / "our.key", ca.client.key_file)
    half = greets(ready, Remote(server))  # the new key is there, and not yet its certificate
    assert half.reason == "client-certificate-refused"
    assert "is not that of the certificate" in half.details["warnings"][0]
    assert half.details["warnings"][0].endswith("Until then they are used as they were before they changed.")
    joined(tmp_path / "our.pem", ca.client.cert_file)
    whole = greets(ready, Remote(server))
    assert whole.up
    assert "warnings" not in whole.details


def test_a_new_revocation_list_counts_from_the_next_conversation(ca, tmp_path):
    crl_file = joined(tmp_path / "crl.pem", ca.revocation_list())
    ready = layer(Terms(ca_file=ca.ca_file, crl_file=crl_file))
    assert greets(ready, Remote(ca.server_context())).up
    joined(tmp_path / "crl.pem", ca.revocation_list(ca.server))
    assert greets(ready, Remote(ca.server_context())).reason == "certificate-revoked"


def test_while_a_file_is_missing_the_old_one_serves_with_a_warning(ca, tmp_path):
    ca_file = joined(tmp_path / "ca.pem", ca.ca_file)
    ready = layer(Terms(ca_file=ca_file))
    os.unlink(ca_file)
    outcome = greets(ready, Remote(ca.server_context()))
    assert outcome.up
    (warning,) = outcome.details["warnings"]
    assert warning.startswith(f"--ca-file: {ca_file} can't be read: No such file or directory.")


# --- files and names that can't be used -----------------------------------------------------------------------------


def misuse(**options):
    with pytest.raises(Misuse) as caught:
        layer(Terms(**options))
    said = str(caught.value)
    assert PASSWORD.decode() not in said
    return said


@pytest.mark.parametrize("option", ["ca_file", "crl_file", "cert_file"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "can't be read: No such file or directory."),
        (b"", "is empty."),
        (b"\x30\x82\x01\x0a", "is DER, and PEM is needed."),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "is cut off"),
        (b"\0" * 99, "is no PEM file"),
        (b"-----BEGIN X-----\nAAAA\n-----END X-----\n", "holds no "),
    ],
    ids=["missing", "empty", "DER", "cut off", "zeros", "something else"],
)
def test_a_file_that_cannot_be_used_is_misuse_and_named_with_its_option(option, content, why, tmp_path):
    path = tmp_path / "odd.pem"
    if content is not None:
        path.write_bytes(content)
    assert misuse(**{option: str(path)}).startswith(f"--{option.replace('_', '-')}: {path} {why}")


@pytest.mark.parametrize("option", ["ca_file", "crl_file", "cert_file"])
def test_a_folder_is_misuse(option, tmp_path):
    assert f"{tmp_path} can't be read: Is a directory." in misuse(**{option: str(tmp_path)})


def test_a_file_of_something_else_is_misuse(ca):
    crl_file = ca.revocation_list()
    assert misuse(ca_file=crl_file).startswith(f"--ca-file: {crl_file} holds no certificate, but “X509 CRL”.")
    assert misuse(crl_file=ca.ca_file).startswith(
        f"--crl-file: {ca.ca_file} holds no revocation list, but “CERTIFICATE”."
    )


def test_a_key_and_a_password_need_their_certificate(password_file):
    assert misuse(key_file="x.key") == "--key-file: a key needs its certificate. Give --cert-file too."
    said = misuse(key_password_file=password_file)
    assert said == "--key-password-file: a password needs its certificate. Give --cert-file too."


def secrets(path):
    return [line for line in Path(path).read_text().splitlines() if not line.startswith("-----")]


def test_the_key_of_another_certificate_is_misuse_and_stays_secret(ca):
    one, other = ca.client, ca.server
    said = misuse(cert_file=one.cert_file, key_file=other.key_file)
    assert said.startswith(
        f"--key-file: the key in {other.key_file} is not that of the certificate in {one.cert_file}."
    )
    assert not [line for line in secrets(other.key_file) if line in said]


def test_a_key_in_place_of_a_certificate_is_misuse_and_stays_secret(ca):
    key = ca.client.key_file
    for options in ({"ca_file": key}, {"cert_file": key}, {"cert_file": key, "key_file": key}):
        said = misuse(**options)
        assert not [line for line in secrets(key) if line in said]


def test_a_key_that_is_not_there_is_misuse_of_its_option(ca, tmp_path):
    path = str(tmp_path / "nowhere.key")
    assert misuse(cert_file=ca.client.cert_file, key_file=path).startswith(f"--key-file: {path} can't be read")


def test_an_encrypted_key_without_a_password_is_misuse_and_nobody_is_asked_for_it(ca):
    locked = ca.locked(ca.client, PASSWORD)
    said = misuse(cert_file=locked.cert_file, key_file=locked.key_file)
    assert said.startswith(f"--key-password-file: the key in {locked.key_file} is encrypted.")


@pytest.mark.parametrize("kind", ["key", "pfx"])
def test_a_wrong_password_is_misuse(ca, tmp_path, kind):
    wrong = tmp_path / "wrong"
    wrong.write_text("Xyzzy!")
    locked = ca.locked(ca.client, PASSWORD)
    files = {"cert_file": locked.cert_file, "key_file": locked.key_file}
    said = misuse(
        **(files if kind == "key" else {"cert_file": ca.pfx(ca.client, PASSWORD)}), key_password_file=str(wrong)
    )
    assert said.startswith(f"--key-password-file: the password in {wrong} does not open ")
    assert "Xyzzy" not in said


def test_a_password_file_that_is_not_there_is_misuse(ca, tmp_path):
    said = misuse(cert_file=ca.client.cert_file, key_password_file=str(tmp_path / "nowhere"))
    assert said.startswith(f"--key-password-file: {tmp_path}/nowhere can't be read")


def test_what_openssl_alone_refuses_is_misuse_in_its_words(ca, tmp_path, monkeypatch):
    """A key that is too short for its security level, here by a level that no key reaches."""
    weak = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("weak.example", key_type=trustme.KeyType.RSA)
    path = str(tmp_path / "weak.pem")
    weak.private_key_and_cert_chain_pem.write_to_path(path)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_ciphers("ALL:@SECLEVEL=5")
    with pytest.raises(Misuse) as caught:
        context.configure(made, Terms(cert_file=path))
    assert str(caught.value).startswith(f"--cert-file: OpenSSL refuses {path}: ee key too small.")


@pytest.mark.parametrize("name", [".ccw", "a\0b", "x" * 300, "ü" * 70, "\udc80"], ids=range(5))
def test_a_server_name_that_tls_cannot_carry_is_misuse(name):
    assert misuse(verify=False, server_name=name) == f"--server-name: {name!r} is no host name."
