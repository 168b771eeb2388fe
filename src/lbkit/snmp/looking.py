"""What snmpd is told of this node: the agent's state as objects of LBKIT-MIB, never older than two seconds."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from lbkit.errors import LbkitError, Misuse, NotAllowed
from lbkit.site.model import Site
from lbkit.snmp.tree import Object, tree
from lbkit.state.agent import Agent, AgentState, for_snmpd
from lbkit.state.node import node_of

KEPT = 2.0  # seconds
_WITHIN = 1.0  # seconds for the agent: snmpd waits too, and so does whoever asks it


class Looking:
    """`path`: the agent's socket; the one beside it that is for snmpd goes before it. `load`: reads a site file, that of the
    agent; raises LbkitError.

    `outdated`: by now another lbkit is installed than the one that runs here.
    """

    def __init__(self, path: str, load: Callable[[str], Site]) -> None:
        self.outdated = False
        self._version = version("lbkit-core")
        self._paths = str(for_snmpd(path)), path
        self._load = load
        self._site: Site | None = None  # as the agent has it
        self._newest: Site | None = None  # as the file has it: perhaps nobody has applied that yet
        self._read: tuple[object, str] = (None, "")  # which file that was read from, and what was wrong with it
        self._kept: tuple[Object, ...] = ()
        self._until = 0.0

    def __call__(self) -> tuple[Object, ...]:
        """All objects, in order. What is not well is this node's trouble, and is not raised."""
        if time.monotonic() >= self._until:
            self._kept = self._look()
            self._until = time.monotonic() + KEPT
        return self._kept

    def _look(self) -> tuple[Object, ...]:
        self.outdated = _installed() not in ("", self._version)
        try:
            path = next(filter(os.path.exists, self._paths), self._paths[-1])
            state = Agent(path, _WITHIN).state()
            trouble = self._read_site(state)
            return tree(_name(self._site), self._version, self._site, state, trouble)
        except NotAllowed:
            trouble = f"{_user()} may not ask the agent: see SNMP in packaging/README.md, then restart the agent."
        except LbkitError as e:
            trouble = str(e)
        except (AttributeError, KeyError, TypeError, ValueError):
            trouble = (
                "the agent says what this lbkit does not know. Are both of one version? Restart the agent and snmpd."
            )
        return tree(_name(self._site), self._version, self._site, None, trouble)

    def _read_site(self, state: AgentState) -> str:
        """What is wrong with the file, "": nothing. Then the site is the one of before, if there was any."""
        which, trouble = _which(state.site_file), self._read[1]
        if which is None or which != self._read[0]:
            try:
                self._newest, trouble = self._load(state.site_file), ""
            except LbkitError as e:
                trouble = str(e)
            self._read = which, trouble
        new, old = self._newest, self._site
        if new and new is not old and (old is None or _apart(new, state) <= _apart(old, state)):
            self._site = new
        return trouble


def _apart(site: Site, state: AgentState) -> int:
    """How many VIPs and real servers one of them has, and the other has not. Of layer 7 nothing is known at times."""
    seen = {**state.vips, **state.layer_7}
    there = {(label, one) for label, vip in seen.items() for one in ("", *vip.servers)}
    known = [vip for vip in site.vips if vip.mode == "l4-dr" or state.layer_7]
    return len(there ^ {(vip.label, one) for vip in known for one in ("", *(server.label for server in vip.servers))})


def _installed() -> str:
    """The version of the lbkit that is installed now; "": it is being replaced."""
    try:
        return version("lbkit-core")
    except PackageNotFoundError:
        return ""


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
