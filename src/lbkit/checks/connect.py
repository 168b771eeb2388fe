"""The check `connect`: the port takes a connection and, if asked, a TLS handshake. Nothing is said above that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lbkit.checks.conversation import connected
from lbkit.checks.kind import CheckKind, TlsParams
from lbkit.checks.script import Exchange
from lbkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from lbkit.checks.kind import Protocol
    from lbkit.checks.target import Target


class ConnectParams(TlsParams):
    """Is there a listener: TCP connect and, with --tls, a TLS handshake."""


def _protocol(params: ConnectParams) -> Callable[[Target], Protocol]:
    return lambda target: connected(params.tls)


@hookimpl
def lbkit_checks() -> list[CheckKind[ConnectParams]]:
    """The check that the core itself gives."""
    summary = "TCP connect and, if asked, a TLS handshake"
    return [CheckKind("connect", summary, ConnectParams, _protocol, script=lambda params: Exchange())]
