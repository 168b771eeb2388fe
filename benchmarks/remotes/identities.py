"""Throw-away certificates for the TLS benchmark: one authority, a server and a client that it signed."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.outcome import NotInstalledError


@dataclass(frozen=True, slots=True)
class Identity:
    """Paths of PEM files."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Identities:
    """Paths of PEM files."""

    authority: str
    server: Identity
    client: Identity


def make_identities(folder: Path) -> Identities:
    """Make them as files in `folder`. RSA keys: dcmtk's TLS profiles take no others."""
    try:
        import trustme
    except ImportError:
        raise NotInstalledError("the Python package trustme is not installed") from None

    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    def issue(name: str, *hosts: str) -> Identity:
        issued = authority.issue_cert(*hosts, key_type=trustme.KeyType.RSA)
        identity = Identity(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        issued.private_key_pem.write_to_path(identity.key)
        issued.cert_chain_pems[0].write_to_path(identity.certificate)
        return identity

    return Identities(str(folder / "ca.pem"), issue("server", "127.0.0.1", "localhost"), issue("client", "lbkit.test"))
