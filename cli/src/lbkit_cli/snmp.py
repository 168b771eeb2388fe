"""`lbkit snmp-answers`: what snmpd runs, on stdin and stdout, to answer for lbkit's objects. Nobody types it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lbkit.site.model import Site


def snmp_answers(socket: Annotated[str, typer.Argument(metavar="SOCKET", help="The agent's.")]) -> None:
    """Answer snmpd, which runs this (pass_persist), from the state of the agent that listens at SOCKET.

    \b
    Example: pass_persist .1.3.6.1.4.1.8072.9999.9999.7779 lbkit snmp-answers /run/lbkit/agent.sock in snmpd.conf
    """
    from lbkit.snmp.looking import Looking
    from lbkit.snmp.pass_persist import serve

    look = Looking(socket, _load)
    serve(sys.stdin.buffer, sys.stdout.buffer, look, lambda: look.outdated)
    if look.outdated:  # the same process: one that ended now would leave the next question without an answer
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606


def _load(file: str) -> Site:
    from lbkit import load_site

    return load_site(file)
