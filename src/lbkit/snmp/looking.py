"""What snmpd is told of this node: the agent's state as objects of LBKIT-MIB, never older than two seconds."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable
from importlib.metadata import version

from lbkit.errors import LbkitError, Misuse, NotAllowed
from lbkit.site.model import Site
from lbkit.snmp.tree import Object, tree
from lbkit.state.agent import Agent, AgentState
from lbkit.state.node import node_of

KEPT = 2.0  # seconds
_WITHIN = 1.0  # seconds for the agent: snmpd waits too, and so does whoever asks it


class Looking:
    """`path`: the agent's socket. `load`: reads a site file, that of the agent; raises LbkitError."""

    def __init__(self, path: str, load: Callable[[str], Site]) -> None:
        self._agent = Agent(path, _WITHIN)
        self._load = load
        self._site: Site | None = None
        self._read: tuple[object, str] = (None, "")  # which file the site was read from, and what was wrong with it
        self._kept: tuple[Object, ...] = ()
        self._until = 0.0

    def __call__(self) -> tuple[Object, ...]:
        """All objects, in order. What is not well is this node's trouble, and is not raised."""
        if time.monotonic() >= self._until:
            self._kept = self._look()
            self._until = time.monotonic() + KEPT
        return self._kept

    def _look(self) -> tuple[Object, ...]:
        state: AgentState | None = None
        try:
            state = self._agent.state()
            trouble = self._read_site(state.site_file)
        except NotAllowed:
            trouble = f"{_user()} may not ask the agent: put that user into the group of its socket, and restart snmpd."
        except LbkitError as e:
            trouble = str(e)
        return tree(_name(self._site), version("lbkit-core"), self._site, state, trouble)

    def _read_site(self, file: str) -> str:
        """What is wrong with the file, "": nothing. Then the site is the one of before, if there was any."""
        which, trouble = _which(file), self._read[1]
        if which is None or which != self._read[0]:
            try:
                self._site, trouble = self._load(file), ""
            except LbkitError as e:
                trouble = str(e)
            self._read = which, trouble
        return trouble


def _which(file: str) -> object:
    """Changes with the file; None: it can't be looked at."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return file, found.st_ino, found.st_mtime_ns, found.st_size


def _user() -> str:
    try:
        return f"user {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"user {os.getuid()}"


def _name(site: Site | None) -> str:
    try:
        found = node_of(site) if site else None
    except Misuse:
        found = None
    return found.name if found else socket.gethostname()
