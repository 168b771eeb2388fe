"""CA families: what is of them, which list is whose, who is revoked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.pem_bytes import rewrapped

from lbkit.errors import Misuse
from lbkit.testing import ThrowawayCA
from lbkit.tls.certificate import read_certificates
from lbkit.tls.family import read_family

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)


@pytest.fixture
def ca(throwaway_ca):
    return throwaway_ca


@pytest.fixture
def other(tmp_path):
    return ThrowawayCA(tmp_path)


def first(identity):
    return read_certificates(identity.cert_file)[0]


def joined(path, *paths):
    path.write_bytes(b"".join(Path(one).read_bytes() for one in paths))
    return str(path)


def test_a_family_knows_its_own(ca, other):
    family = read_family([ca.ca_file])
    assert family.cas == read_certificates(ca.ca_file)
    assert family.issuer_of(first(ca.client)) == family.cas[0]
    assert family.issuer_of(first(other.client)) is None


def made(path, issuer, subject, signer, key=None, serial=7):
    """A certificate of its own making: who signs it need not be who it says."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]) if isinstance(subject, str) else subject
    by = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]) if isinstance(issuer, str) else issuer
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(by, name, (key or signer).public_key(), serial, now, now + timedelta(days=1))
    path.write_bytes(builder.sign(signer, SHA256()).public_bytes(serialization.Encoding.PEM))
    return str(path)


@pytest.fixture
def keys():
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]


def test_a_ca_of_the_same_name_and_another_key_is_another(ca, tmp_path, keys):
    """Such as the CA that follows it."""
    name = read_certificates(ca.ca_file)[0].raw.subject
    path = made(tmp_path / "next.pem", name, name, keys[0])
    assert read_family([path]).issuer_of(first(ca.client)) is None
    both = read_family([path, ca.ca_file], [ca.revocation_list()])
    assert both.issuer_of(first(ca.client)) == both.cas[1]
    assert both.without_list() == both.cas[:1]


def test_a_ca_of_the_same_key_and_another_name_is_another(ca, tmp_path):
    """As OpenSSL sees it, which looks for issuers and lists by name."""
    key = serialization.load_pem_private_key(ca._ca.private_key_pem.bytes(), None)
    path = made(tmp_path / "alias.pem", "alias", "alias", key)
    family = read_family([path], [ca.revocation_list(ca.client)])
    assert family.issuer_of(first(ca.client)) is None
    assert family.without_list() == family.cas


def test_a_list_revokes_what_its_own_ca_issued(ca, other):
    revoked, good = ca.issue("a.example"), ca.issue("b.example")
    crl_file = ca.revocation_list(revoked)
    family = read_family([ca.ca_file, other.ca_file], [crl_file])
    assert family.has_revoked(first(revoked))
    assert not family.has_revoked(first(good))
    assert not read_family([ca.ca_file], [other.revocation_list(revoked)]).has_revoked(first(revoked))
    assert not read_family([other.ca_file], [crl_file]).has_revoked(first(revoked))


def test_a_ca_without_a_list_beside_one_that_has_one_is_named(ca, other, tmp_path):
    family = read_family([joined(tmp_path / "both.pem", ca.ca_file, other.ca_file)], [ca.revocation_list()])
    mine, others = family.cas
    assert family.lists_of(mine) == family.lists
    assert family.lists_of(others) == ()
    assert family.without_list() == (others,)


def test_a_list_says_whose_it_is_and_when_the_next_one_is_due(ca):
    path = ca.revocation_list(next_update=SOON)
    (found,) = read_family([ca.ca_file], [path]).lists
    assert (found.issuer, found.next_update, found.path) == (read_certificates(ca.ca_file)[0].subject, SOON, path)


def test_lists_may_stand_beside_the_cas(ca, tmp_path):
    family = read_family([joined(tmp_path / "all.pem", ca.ca_file, ca.revocation_list(ca.client))])
    assert family.has_revoked(first(ca.client))


@pytest.mark.parametrize("wrong", ["cert", "crl", "der", "nothing"])
def test_files_that_hold_something_else_are_misuse(ca, tmp_path, wrong):
    path = str(tmp_path / "list.der")
    given, said = {
        "cert": (([ca.ca_file], [ca.ca_file]), f"{ca.ca_file} holds no revocation list, but “CERTIFICATE”."),
        "crl": (([crl := ca.revocation_list()],), f"{crl} holds no certificate, but “X509 CRL”."),
        "der": (([ca.ca_file], [path]), f"{path} is DER, and PEM is needed."),
        "nothing": (([ca.ca_file], [path + "x"]), f"{path}x can't be read: No such file or directory."),
    }[wrong]
    (found,) = read_family([ca.ca_file], [crl]).lists
    Path(path).write_bytes(found.raw.public_bytes(serialization.Encoding.DER))
    with pytest.raises(Misuse) as caught:
        read_family(*given)
    assert str(caught.value).startswith(said)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), piece=st.binary(max_size=4))
def test_no_damage_to_a_list_makes_it_fail_but_with_misuse(ca, tmp_path, at, piece):
    (crl,) = read_family([ca.ca_file], [ca.revocation_list(ca.client)]).lists
    der = bytearray(crl.raw.public_bytes(serialization.Encoding.DER))
    der[at : at + len(piece)] = piece
    path = tmp_path / "any.crl"
    path.write_bytes(rewrapped(bytes(der), "X509 CRL"))
    try:
        family = read_family([ca.ca_file], [str(path)])
    except Misuse:
        return
    family.has_revoked(first(ca.client))
    family.without_list()
