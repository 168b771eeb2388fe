"""storescp inside TLS, and the certificates for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from interop.remotes import Remote, dcmtk

from lbkit.testing import Identity

RSA = trustme.KeyType.RSA  # dcmtk's TLS profiles take no other keys


class Authority:
    """A CA with RSA keys."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA(key_type=RSA)
        self._folder = folder
        self.ca_file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str) -> Identity:
        issued = self._ca.issue_cert(*names, key_type=RSA)
        stem = self._folder / names[0]
        identity = Identity(f"{stem}.pem", f"{stem}.key")
        issued.cert_chain_pems[0].write_to_path(identity.cert_file)
        issued.private_key_pem.write_to_path(identity.key_file)
        return identity


@dataclass(frozen=True)
class Secured:
    """A remote, and the options by which a client is let in."""

    remote: Remote
    options: dict[str, object]


@contextmanager
def secured_storescp(folder: Path, authority: Authority) -> Iterator[Secured]:
    server, client = authority.issue("127.0.0.1", "localhost"), authority.issue("client.lbkit.test")
    tls = (
        "--enable-tls",
        server.key_file,
        server.cert_file,
        "--add-cert-file",
        authority.ca_file,
        "--require-peer-cert",
    )
    options = {
        "tls": True,
        "ca_file": authority.ca_file,
        "cert_file": client.cert_file,
        "key_file": client.key_file,
    }
    with dcmtk("storescp", folder, "--ignore", *tls) as remote:
        yield Secured(remote, options)
