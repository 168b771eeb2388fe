"""A throw-away CA and what it issues: a client's identity in files, servers' as TLS contexts, and identities gone wrong."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from trustme import CA, LeafCert

    from lbkit_demo.place import Contexts

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)

# The names of a server's TLS identities.
OWN = "own"
EXPIRED = "expired"
OF_ANOTHER_CA = "of-another-ca"
OF_ANOTHER_NAME = "of-another-name"
FOR_OTHER_CLIENTS = "for-other-clients"


class Authority:
    """Two CAs that nobody trusts: the site's own, and a foreign one."""

    def __init__(self) -> None:
        import trustme  # brings cryptography, which only a site that runs should cost

        self._ca = trustme.CA(organization_name="lbkit demo")
        self._foreign = trustme.CA(organization_name="lbkit demo, foreign")

    def write(self, ca_file: Path, cert_file: Path, name: str) -> None:
        """Write the CA, and an identity for `name`, as client and as server, whose key only we may read."""
        self._ca.cert_pem.write_to_path(ca_file)
        cert_file.unlink(missing_ok=True)
        cert_file.touch(0o600)
        self._ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(cert_file)

    def contexts(self, name: str) -> Contexts:
        """What a server of this name can be told to serve with. All want a client's certificate."""
        own = self._ca.issue_cert(name)
        return {
            OWN: _context(own, self._ca),
            EXPIRED: _context(self._ca.issue_cert(name, not_after=LONG_AGO), self._ca),
            OF_ANOTHER_CA: _context(self._foreign.issue_cert(name), self._ca),
            OF_ANOTHER_NAME: _context(self._ca.issue_cert("archive.hospital.example"), self._ca),
            FOR_OTHER_CLIENTS: _context(own, self._foreign),
        }


class _ServersEnd(ssl.SSLSocket):
    """Closes itself where the client has reset the connection before TLS: Python 3.11 leaves that to the collector."""

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError:
            self.close()
            raise ConnectionResetError("the client left before TLS") from None


def _context(identity: LeafCert, clients_of: CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.configure_cert(context)
    clients_of.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.sslsocket_class = _ServersEnd
    return context
