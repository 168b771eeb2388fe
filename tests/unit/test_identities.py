"""Certificates with their keys, in files: what is read of them, and what is said of files that are something else."""

import shutil
import ssl
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.pem_bytes import rewrapped

from lbkit.errors import Misuse
from lbkit.testing import ThrowawayCA
from lbkit.tls import files
from lbkit.tls.certificate import read_certificates
from lbkit.tls.identity import read_identity

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
PASSWORD = b"open sesame"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return ThrowawayCA(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def write(tmp_path):
    """`write(name, content)`: the path of a new file."""

    def write(name, *parts):
        path = tmp_path / name
        path.write_bytes(b"".join(part if isinstance(part, bytes) else Path(part).read_bytes() for part in parts))
        return str(path)

    return write


@pytest.fixture
def password_file(write):
    return write("password", PASSWORD, b"\nnever read\n")


def misuse(read, *arguments):
    with pytest.raises(Misuse) as caught:
        read(*arguments)
    said = str(caught.value)
    assert said.isprintable()
    assert said.endswith(".")
    assert PASSWORD.decode() not in said
    return said


def secrets(path):
    return [line for line in Path(path).read_text().splitlines() if not line.startswith("-----")]


# --- what is read ---------------------------------------------------------------------------------------------------


def test_a_certificate_says_who_it_is_for_until_when_and_who_issued_it(ca):
    files = ca.issue("ccw.example", "192.0.2.1", "2001:db8::1", not_after=SOON)
    found = read_identity(files.cert_file, files.key_file)
    certificate = found.certificate
    assert certificate.names == ("ccw.example", "192.0.2.1", "2001:db8::1")
    assert certificate.not_after == SOON
    assert certificate.not_before < datetime.now(UTC)
    assert certificate.issuer == read_certificates(ca.ca_file)[0].subject != certificate.subject
    assert found.chain == ()


def test_a_ca_is_told_from_a_certificate_that_is_none(ca):
    assert read_certificates(ca.ca_file)[0].is_ca
    assert not read_certificates(ca.client.cert_file)[0].is_ca


@pytest.mark.parametrize(
    ("usage", "uses"), [(None, (True, True)), ("server", (True, False)), ("client", (False, True))]
)
def test_a_certificate_may_be_good_for_one_side_of_tls_only(ca, usage, uses):
    (certificate,) = read_certificates(ca.issue("x.example", usage=usage).cert_file)
    assert (certificate.for_server, certificate.for_client) == uses


def test_the_uses_are_those_that_openssl_finds(ca, tmp_path):
    """Of every key usage alone, and of extended key usages; the oracle is `openssl x509 -purpose`."""
    openssl = shutil.which("openssl") or pytest.skip(reason="openssl is not installed (Debian package openssl)")
    usages = ["digitalSignature", "keyEncipherment", "keyAgreement", "nonRepudiation", "keyCertSign"]
    extended = ["anyExtendedKeyUsage", "serverAuth", "clientAuth", "codeSigning", "serverAuth,clientAuth"]
    for extension in (*(f"keyUsage={u}" for u in usages), *(f"extendedKeyUsage={u}" for u in extended)):
        path = str(tmp_path / "one.pem")
        make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"]
        make += ["-addext", extension, "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "/dev/null"]
        subprocess.run([openssl, *make, "-out", path], check=True, capture_output=True)
        told = subprocess.run([openssl, "x509", "-in", path, "-noout", "-purpose"], capture_output=True, text=True)
        (certificate,) = read_certificates(path)
        assert certificate.for_server == ("\nSSL server : Yes" in told.stdout), extension
        assert certificate.for_client == ("\nSSL client : Yes" in told.stdout), extension


def test_certificate_chain_and_key_may_stand_in_one_file_in_any_order_of_kinds(ca, write):
    client = ca.client
    for parts in ((client.key_file, client.cert_file, ca.ca_file), (client.cert_file, ca.ca_file, client.key_file)):
        found = read_identity(write("all.pem", b"a comment\n", *parts))
        assert found.certificate == read_certificates(client.cert_file)[0]
        assert found.chain == read_certificates(ca.ca_file)


def test_a_key_may_be_encrypted(ca, password_file):
    locked = ca.locked(ca.client, PASSWORD)
    assert read_identity(locked.cert_file, locked.key_file, password_file).certificate.names == ("client.lbkit.test",)


def test_a_key_of_the_older_encrypted_kind_is_read(ca, write, password_file):
    key = serialization.load_pem_private_key(Path(ca.client.key_file).read_bytes(), None)
    kind = serialization.PrivateFormat.TraditionalOpenSSL
    text = key.private_bytes(serialization.Encoding.PEM, kind, serialization.BestAvailableEncryption(PASSWORD))
    assert b"Proc-Type" in text
    assert read_identity(ca.client.cert_file, write("old.key", text), password_file)


def test_a_password_for_a_key_that_needs_none_is_of_no_account(ca, password_file):
    assert read_identity(ca.client.cert_file, ca.client.key_file, password_file)


@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_pfx_is_told_by_its_content(ca, write, password_file, password):
    path = write("identity.pem", ca.pfx(ca.client, password))
    found = read_identity(path, "", password_file if password else "")
    assert found.certificate == read_certificates(ca.client.cert_file)[0]


@pytest.mark.parametrize("options", [[], ["-legacy"], ["-nomac", "-keypbe", "NONE", "-certpbe", "NONE"]])
@pytest.mark.parametrize("password", [PASSWORD, b""])
def test_a_pfx_of_another_maker_is_read(ca, tmp_path, password_file, options, password):
    """`-legacy`: RC2 and 3DES, as older Windows exports them. An empty password may be written in two ways."""
    openssl = shutil.which("openssl") or pytest.skip(reason="openssl is not installed (Debian package openssl)")
    client, path = ca.client, str(tmp_path / "identity.pfx")
    command = [openssl, "pkcs12", "-export", "-in", client.cert_file, "-inkey", client.key_file, "-out", path]
    subprocess.run([*command, "-passout", f"pass:{password.decode()}", *options], check=True, capture_output=True)
    assert read_identity(path, "", password_file if password else "").certificate.names == ("client.lbkit.test",)


def test_a_pfx_brings_its_chain(ca, write):
    with_chain = type(ca.client)(write("chain.pem", ca.client.cert_file, ca.ca_file), ca.client.key_file)
    assert read_identity(ca.pfx(with_chain, None)).chain == read_certificates(ca.ca_file)


def test_an_identity_as_pem_is_what_openssl_loads_and_has_no_blank_line(ca, write, password_file):
    whole = type(ca.client)(write("chain.pem", ca.client.cert_file, ca.ca_file), ca.client.key_file)
    found = read_identity(ca.pfx(whole, PASSWORD), "", password_file)
    text = found.pem()
    assert b"\n\n" not in text
    assert text.count(b"-----BEGIN CERTIFICATE-----") == 2
    path = write("whole.pem", text)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path)
    assert read_identity(path).certificate == found.certificate


def test_what_is_printed_of_an_identity_holds_no_key(ca):
    shown = repr(read_identity(ca.client.cert_file, ca.client.key_file))
    assert "client.lbkit.test" in shown
    assert "key=" not in shown


# --- what is said of files that can't be used -----------------------------------------------------------------------


def test_a_file_that_is_not_there(ca, tmp_path):
    path = str(tmp_path / "nowhere.pem")
    said = f"{path} can't be read: No such file or directory. Check the path and who may read it."
    assert misuse(read_identity, path) == said
    assert misuse(read_identity, ca.client.cert_file, path) == said
    assert misuse(read_identity, ca.client.cert_file, ca.client.key_file, path) == said


def test_a_folder_and_a_path_with_a_nul(tmp_path):
    assert misuse(read_identity, str(tmp_path)).startswith(f"{tmp_path} can't be read: Is a directory.")
    assert misuse(read_identity, "a\0b") == "'a\\x00b' is no path."


def test_an_empty_file(write):
    path = write("empty.pem", b"")
    assert misuse(read_identity, path) == f"{path} is empty. Write it anew."


def test_a_file_without_an_end():
    assert "/dev/zero has more than 16 MiB: it is something else." in misuse(read_certificates, "/dev/zero")


def test_garbage(write):
    path = write("garbage.pem", b"\xff\0garbage" * 99)
    assert misuse(read_identity, path).startswith(f"{path} is no PEM file: it has no line")


def test_a_der_file_in_place_of_pem(ca, write):
    der = read_certificates(ca.client.cert_file)[0].raw.public_bytes(serialization.Encoding.DER)
    path = write("certificate.der", der)
    assert misuse(read_identity, path).startswith(f"{path} is DER, and PEM is needed. Convert it: openssl x509 ")


def test_a_pfx_in_place_of_pem(ca):
    path = ca.pfx(ca.client, PASSWORD)
    for arguments in ((read_certificates, path), (read_identity, ca.client.cert_file, path)):
        assert misuse(*arguments).startswith(
            f"{path} is a PFX (PKCS #12), and PEM is needed. Convert it: openssl pkcs12 "
        )


def test_pem_without_a_certificate(ca):
    path = ca.client.key_file
    assert misuse(read_identity, path, path) == f"{path} holds no certificate, but “EC PRIVATE KEY”. Check the path."


def test_pem_without_a_key(ca):
    path = ca.client.cert_file
    assert misuse(read_identity, path) == f"{path} holds no private key, but “CERTIFICATE”. Check the path."


def test_a_file_that_is_cut_off(ca, write):
    whole = Path(ca.client.cert_file).read_bytes()
    path = write("half.pem", whole[: len(whole) // 2])
    assert misuse(read_identity, path) == f"{path} is cut off: its CERTIFICATE has no end. Write it anew."


def test_a_damaged_certificate_and_a_damaged_key(ca, write):
    path = write("damaged.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert misuse(read_identity, path).startswith(f"{path}: its certificate is damaged")
    path = write("damaged.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert misuse(read_identity, ca.client.cert_file, path).startswith(f"{path}: its key is damaged")


def test_the_key_of_another_certificate(ca):
    said = misuse(read_identity, ca.client.cert_file, ca.server.key_file)
    assert said.startswith(f"the key in {ca.server.key_file} is not that of the certificate in {ca.client.cert_file}.")
    assert not [line for line in secrets(ca.server.key_file) if line in said]


def test_a_chain_in_the_wrong_order(ca, write):
    path = write("reversed.pem", ca.ca_file, ca.client.cert_file)
    assert "but of a later one. Put that one first." in misuse(read_identity, path, ca.client.key_file)


def test_an_encrypted_key_without_its_password_and_with_a_wrong_one(ca, write):
    locked = ca.locked(ca.client, PASSWORD)
    said = misuse(read_identity, locked.cert_file, locked.key_file)
    assert said == f"the key in {locked.key_file} is encrypted. Give the file that holds its password."
    wrong = write("wrong", b"Xyzzy!")
    said = misuse(read_identity, locked.cert_file, locked.key_file, wrong)
    assert said.startswith(f"the password in {wrong} does not open the key in {locked.key_file}.")
    assert "Xyzzy" not in said


def test_a_pfx_without_its_password_and_with_a_wrong_one(ca, write):
    path = ca.pfx(ca.client, PASSWORD)
    assert misuse(read_identity, path).startswith(f"the PFX {path} needs a password, or is damaged.")
    wrong = write("wrong", b"Xyzzy!")
    said = misuse(read_identity, path, "", wrong)
    assert said.startswith(f"the password in {wrong} does not open {path}")
    assert "Xyzzy" not in said


def test_a_pfx_beside_a_key(ca):
    path = ca.pfx(ca.client, None)
    said = misuse(read_identity, path, ca.client.key_file)
    assert said == f"{path} is a PFX, which holds its key: leave {ca.client.key_file} out."


def test_a_pfx_without_a_key(ca):
    from cryptography.hazmat.primitives.serialization import pkcs12

    certificate = x509.load_pem_x509_certificate(Path(ca.client.cert_file).read_bytes())
    path = Path(ca.ca_file).with_name("keyless.pfx")
    path.write_bytes(pkcs12.serialize_key_and_certificates(None, None, certificate, None, serialization.NoEncryption()))
    assert misuse(read_identity, str(path)).startswith(f"the PFX {path} holds no certificate with its key.")


# --- passwords ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"one", b"one"),
        (b"one\n", b"one"),
        (b"one\r\ntwo", b"one"),
        (b" one \n", b" one "),
        ("ü\n".encode(), "ü".encode()),
    ],
)
def test_a_password_is_the_first_line_without_its_end(write, content, password):
    assert files.password(write("password", content)) == password


def test_a_first_line_that_is_no_password(write):
    path = write("password", b"\nsecond\n")
    assert misuse(files.password, path) == f"the first line of {path} is empty. Write the password there."
    path = write("password", b"x" * 1024)
    assert "is no password" in misuse(files.password, path)
    assert "xx" not in misuse(files.password, path)


# --- whatever the bytes ---------------------------------------------------------------------------------------------


@st.composite
def damaged(draw, samples):
    """One of the samples, some of its bytes changed, cut out or repeated."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.integers(0, 2))
        piece = draw(st.binary(max_size=4))
        data[at : at + (len(piece) if how == 0 else 0 if how == 1 else 9)] = piece
    return bytes(data)


@pytest.fixture(scope="module")
def samples(ca):
    """By label: DER of what files hold, so that damage goes deeper than PEM's Base64."""
    der = serialization.Encoding.DER
    key = serialization.load_pem_private_key(Path(ca.client.key_file).read_bytes(), None)
    plain = key.private_bytes(der, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "CERTIFICATE": read_certificates(ca.issue("ccw.example", "192.0.2.1").cert_file)[0].raw.public_bytes(der),
        "PRIVATE KEY": plain,
        "PFX": Path(ca.pfx(ca.client, None)).read_bytes(),
        "locked PFX": Path(ca.pfx(ca.client, PASSWORD)).read_bytes(),
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_make_it_fail_but_with_misuse(ca, samples, tmp_path, data):
    label = data.draw(st.sampled_from([*samples]))
    content = data.draw(damaged([samples[label]]))
    if "PFX" not in label:
        content = rewrapped(content, label)
    path, password = tmp_path / "any", tmp_path / "password"
    path.write_bytes(content)
    password.write_bytes(PASSWORD)
    for arguments in ((str(path),), (ca.client.cert_file, str(path)), (str(path), ca.client.key_file)):
        for secret in ("", str(password)):
            with suppress(Misuse):
                assert read_identity(*[*arguments, ""][:2], secret).pem()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(), st.text("-BEGIN CRTFA\n", max_size=200).map(str.encode)))
def test_no_file_at_all_makes_it_fail_but_with_misuse(tmp_path, content):
    path = tmp_path / "any"
    path.write_bytes(content)
    with pytest.raises(Misuse):
        read_identity(str(path))


def test_importing_lbkit_loads_nothing_that_reads_identities():
    code = "import sys, lbkit, lbkit.tls, lbkit.tls.watched, lbkit.tls.files; print('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
