"""Events as notifications of LBKIT-MIB: v2c traps, and v3 informs, which are confirmed; sent by Net-SNMP's commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from lbkit.errors import EngineError, Misuse
from lbkit.site.reporting import Snmp, TrapReceiver
from lbkit.snmp.keys import Keys
from lbkit.snmp.oids import (
    EVENT_KIND,
    EVENT_NODE,
    EVENT_SERVER,
    EVENT_TEXT,
    EVENT_VIP,
    EVENT_WHEN,
    dotted,
    notification,
)
from lbkit.snmp.programs import find, place, run
from lbkit.snmp.tree import line
from lbkit.state.events import Event, EventKind

_ENDS: tuple[EventKind, ...] = (
    "server-up",
    "vip-recovered",
    "peer-found",
    "split-brain-ended",
    "drift-repaired",
    "test",
)
_TIMEOUT, _RETRIES = 2, 1  # seconds for an answer; an inform asks for the receiver's engine first, so twice that
_ENDS_WITHIN = 15.0
_UNCONFIRMED = "Has it this user, with the same passphrases, and does nothing drop UDP on the way?"


class Traps:
    """To one receiver (`lbkit.state.receiver`), one event at a time: one that it could not take brings no other back.

    Warnings, alarms and their ends; the rest is taken and not sent, and so is all on the passive node.
    """

    at_once = 1

    def __init__(self, snmp: Snmp, to: TrapReceiver) -> None:
        self.name = to.name
        self._snmp = snmp
        self._to = to

    def take(self, events: Sequence[Event], active: bool) -> None:
        """Send them. Raises EngineError for an inform that is not confirmed, CannotRun, Misuse for what the site lacks."""
        for event in events:
            if (active or event.kind == "test") and (event.level != "info" or event.kind in _ENDS):
                self._send(event)

    def _send(self, event: Event) -> None:
        to, snmp = self._to, self._snmp
        if to.version == "v3" and snmp.user is None:
            raise Misuse(f"{to.address} is to get informs by v3, and [snmp] has no user. Give it one.")
        unneeded = "user" if to.version == "v2c" else "community_file"
        keys = Keys.read(snmp.model_copy(update={unneeded: None}))
        if to.version == "v2c" and not keys.community:
            raise Misuse(f"{to.address} is to get traps by v2c, and [snmp] has no community_file. Give it one.")
        confirmed = ["-Ci"] if to.version == "v3" else []
        where = place(to.address, to.port)
        # "": the time since this machine was started
        command = [find("snmptrap", "snmp"), *confirmed, "-t", str(_TIMEOUT), "-r", str(_RETRIES), where, ""]
        command += [dotted(notification(event.kind)), *_objects(event)]
        code, _, wrong = run(command, snmp, keys, to.version, _ENDS_WITHIN)
        if code:
            wrong = wrong.rstrip(".") or "no reason is given"
            todo = f" {_UNCONFIRMED}" if confirmed else ""
            raise EngineError(f"{where} has not taken {event.kind} by {to.version}: {wrong}.{todo}")


def _objects(event: Event) -> Iterator[str]:
    texts = {
        EVENT_NODE: event.node,
        EVENT_VIP: event.vip,
        EVENT_SERVER: event.server,
        EVENT_TEXT: event.text,
        EVENT_KIND: event.kind,
    }
    for oid, text in texts.items():
        yield from (dotted(oid), "s", line(text))
    yield from (dotted(EVENT_WHEN), "x", _date_and_time(event.when).hex())


def _date_and_time(when: float) -> bytes:
    """DateAndTime of SNMPv2-TC, in UTC."""
    at = datetime.fromtimestamp(when, UTC)
    parts = (at.month, at.day, at.hour, at.minute, at.second, at.microsecond // 100_000, ord("+"), 0, 0)
    return at.year.to_bytes(2) + bytes(parts)
