"""Whether snmpd answers as the site wants, asked as a manager asks it: with its user, else with its community."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from lbkit.checks.here import is_of_this_machine
from lbkit.errors import EngineError, NotDone, NotRunning
from lbkit.site.reporting import Snmp
from lbkit.snmp.keys import Keys
from lbkit.snmp.oids import NODE_TROUBLE, NODE_VERSION, SYS_CONTACT, SYS_LOCATION, dotted
from lbkit.snmp.programs import Version, find, own, place, run

_WITHIN = 2  # seconds for one answer: lbkit may have to ask the agent for it
_ENDS_WITHIN = 15.0
_POLL = 0.2
_LINE = re.compile(r'^(\.[\d.]+) (?:"([0-9A-F\s]*)"|.*)$', re.MULTILINE)


class Answer(NamedTuple):
    """What it says. `version`: of the lbkit behind it, "": none answers. `trouble`: what keeps that from its work."""

    location: str
    contact: str
    version: str
    trouble: str


def program() -> str:
    """What it is asked with: its path. Raises CannotRun where that is not installed."""
    return find("snmpget", "snmp")


def ask(snmp: Snmp, keys: Keys) -> Answer:
    """At the first of its addresses that is this machine's. Raises NotRunning where nobody answers this user or community;
    CannotRun.
    """
    asked = (SYS_LOCATION, SYS_CONTACT, NODE_VERSION, NODE_TROUBLE)
    version: Version = "v3" if snmp.user else "v2c" if snmp.v2c else "v1"
    addresses = [own(one) for one in snmp.addresses]  # on a pair perhaps the other node's too
    where = place(next(filter(is_of_this_machine, addresses), addresses[0]), snmp.port)
    options = ["-t", str(_WITHIN), "-r", "0", "-Oqnx"]  # texts in hex: nothing in them is quoted then
    command = [program(), *options, where, *map(dotted, asked)]
    code, said, wrong = run(command, snmp, keys, version, _ENDS_WITHIN)
    if code:
        raise NotRunning(f"nobody answers at {where} by SNMP{version}: {wrong or 'no reason is given'}.")
    found = {name: _text(value) for name, value in _LINE.findall(said)}
    return Answer(*(found.get(dotted(one), "") for one in asked))


def answers(snmp: Snmp, keys: Keys) -> bool:
    """Whether it does, as the site has it. Raises CannotRun."""
    try:
        return not _wrong(snmp, ask(snmp, keys))
    except EngineError:
        return False


def wait(snmp: Snmp, keys: Keys, within: float) -> None:
    """Until it answers as the site has it, at most so many seconds. Raises NotDone, which says what is wrong; CannotRun."""
    deadline = time.monotonic() + within
    while True:
        try:
            wrong = _wrong(snmp, ask(snmp, keys))
        except EngineError as e:
            wrong = str(e)
        if not wrong:
            return
        if time.monotonic() > deadline:
            raise NotDone(f"snmpd was given {snmp.file}: {wrong} See its log: journalctl -u snmpd")
        time.sleep(_POLL)


def _wrong(snmp: Snmp, answer: Answer) -> str:
    if (answer.location, answer.contact) != (snmp.location or answer.location, snmp.contact or answer.contact):
        return (
            f"it answers with location {answer.location[:60]!r} and contact {answer.contact[:60]!r}, which are not the "
            "site's. Does another snmpd listen there?"
        )
    if not answer.version:
        return f"it answers, but not for lbkit. Can its user run what {snmp.file} names behind pass_persist?"
    return ""


def _text(digits: str) -> str:
    return bytes.fromhex(digits).decode(errors="replace")
