"""What HAProxy answers, into typed values; pure functions of text, by name and never by position.

Whatever the text is, they raise nothing but EngineError. Seen on 2.6.12 and 2.8.25 (management guide, 9.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from lbkit.checks.conversation import printable
from lbkit.errors import EngineError

FORCED_MAINT, INHERITED_MAINT, CONFIGURED_MAINT, FORCED_DRAIN, INHERITED_DRAIN, RESOLUTION_MAINT, HOSTNAME_MAINT = (
    1 << bit for bit in range(7)
)
STOPPED, STARTING, RUNNING, STOPPING = range(4)

_COLUMNS = (
    "be_name",
    "srv_name",
    "srv_addr",
    "srv_id",
    "srv_port",
    "srv_op_state",
    "srv_admin_state",
    "srv_uweight",
    "srv_iweight",
    "srv_time_since_last_change",
)
"""What is kept of `show servers state`, the numbers last."""

_ESTABLISHED = 8  # of a stream to its server: before it is queued, chosen or being connected
_NONE = ("", "-", "<none>", "<NONE>", "?")
_AGE = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_BEYOND = 10 * 365 * 86_400  # seconds; HAProxy 2.8.25 gives ages of 57 years


class Server(NamedTuple):
    """A server as `show servers state` has it. `admin_state`: bits, FORCED_MAINT …; `operational_state`: STOPPED … ."""

    backend: str
    name: str
    id: int  # what tables call it
    address: str
    port: int
    operational_state: int
    admin_state: int
    weight: int  # in force
    configured_weight: int
    since: int  # seconds since the last change

    @property
    def maint(self) -> bool:
        """No connections at all: an operator's word, the configuration's, or its name has no address."""
        return bool(
            self.admin_state & (FORCED_MAINT | INHERITED_MAINT | CONFIGURED_MAINT | RESOLUTION_MAINT | HOSTNAME_MAINT)
        )

    @property
    def drain(self) -> bool:
        """No new connections, but for those that a table or a cookie sends there."""
        return bool(self.admin_state & (FORCED_DRAIN | INHERITED_DRAIN))


@dataclass(frozen=True, slots=True)
class Session:
    """A stream as `show sess` has it. `ident` is an address in that process, and another's as soon as it has ended.

    `connected`: HAProxy has been connected to the server, and entries are written; with TLS inside, once that is agreed.
    """

    ident: str
    frontend: str
    backend: str | None
    server: str | None
    source: str  # host:port
    age: float | None  # seconds; None: unknown, as always on 2.8.25, which counts it wrongly
    connected: bool


def split(text: str, commands: int) -> list[str]:
    """The answers to a line of several commands, in order. Each ends with an empty line."""
    answers: list[str] = []
    lines: list[str] = []
    for line in text.split("\n")[:-1]:
        if line:
            lines.append(line)
        else:
            answers.append("\n".join(lines))
            lines = []
    if lines:
        answers.append("\n".join(lines))  # "Can't find the target PID", at the end of a master's answers
    if len(answers) != commands:
        raise EngineError(f"HAProxy gave {len(answers)} answers to {commands} commands. Ask them one by one.")
    return answers


def info(text: str) -> dict[str, str]:
    """`show info`."""
    found = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    if "Version" not in found:
        raise unreadable("show info", text)
    return found


def servers(text: str) -> list[Server]:
    """`show servers state`."""
    lines = [line for line in text.splitlines() if line]
    header = next((line for line in lines if line.startswith("# ")), "")
    names = header[2:].split()
    if not set(_COLUMNS) <= set(names):
        raise unreadable("show servers state", header or text)
    places = [names.index(one) for one in _COLUMNS]
    kept, behind = itemgetter(*places), max(places) + 1
    found: list[Server] = []
    for line in lines[lines.index(header) + 1 :]:
        try:
            backend, name, address, *numbers = kept(line.split(" ", behind))
            ident, port, operational, admin, weight, configured, since = map(int, numbers)
        except (IndexError, ValueError):
            raise unreadable("show servers state", line) from None
        found.append(Server(backend, name, ident, address, port, operational, admin, weight, configured, since))
    return found


def sessions(text: str) -> list[Session]:
    """`show sess`, but for those of HAProxy's own command line."""
    found: list[Session] = []
    for line in text.splitlines():
        ident, colon, rest = line.partition(": ")
        if not colon:
            continue
        values = dict(part.partition("=")[::2] for part in rest.partition(" rq[")[0].split(" "))
        if values.get("proto") == "?":  # HAProxy's own, to the other node: it has neither frontend nor client
            continue
        try:
            state = int(rest.partition(" scb=[")[2].partition(",")[0])
            places = values["fe"], name(values["be"]), name(values["srv"])
            session = Session(ident, *places, values["src"], _age(values["age"]), state >= _ESTABLISHED)
        except (KeyError, ValueError):
            raise unreadable("show sess", line) from None
        if session.frontend != "GLOBAL":
            found.append(session)
    return found


def name(text: str) -> str | None:
    """What HAProxy writes where there is none is None."""
    return None if text in _NONE else text


def seconds(text: str) -> float | None:
    """`2s`, `5m2s`, `1h30m`, `0d00h00m02s`."""
    parts = _AGE.findall(text)
    return float(sum(int(number[:15]) * _SECONDS[unit] for number, unit in parts)) if parts else None


def _age(text: str) -> float | None:
    age = seconds(text)
    return age if age is not None and age < _BEYOND else None


def acl_entries(text: str) -> list[str]:
    """`show acl FILE`: the values, each behind its address."""
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith("0x")]


def unreadable(command: str, text: str) -> EngineError:
    """What to raise for an answer that isn't as HAProxy 2.6 and 2.8 give it."""
    shown = printable(text[:80])
    return EngineError(f"HAProxy's answer to `{command}` can't be read: {shown!r}. Report it with HAProxy's version.")
