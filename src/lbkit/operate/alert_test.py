"""Try whether alerts arrive: an event of kind `test`, and who has taken it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lbkit.alerts.recipients import Routes
from lbkit.errors import CannotRun, EngineError, Misuse
from lbkit.lint import lint
from lbkit.site.findings import Finding, SiteInvalid
from lbkit.site.load import Kinds, load_site
from lbkit.site.model import Site
from lbkit.site.reporting import Alerts
from lbkit.state.agent import Agent, AgentState
from lbkit.state.events import Event
from lbkit.state.log import EventLog, Place
from lbkit.state.places import Places
from lbkit.state.receiver_plugins import receivers_of
from lbkit.state.who import from_where, who_asks

TIMEOUT = 15.0  # seconds
_LOOKS_EVERY = 0.1  # seconds
_UNKNOWN = "the agent does not know it: has it read this site file? systemctl reload lbkit-agent"
_LATE = (
    "it has not taken the event yet; events of before may be in the way. `lbkit agent --status` says how it is later"
)


@dataclass(frozen=True, slots=True)
class Tried:
    """One receiver. `taken`: it has the event. `trouble`: what keeps it from taking it, or from sending it; "": nothing.

    `to`: to whom mail goes, and by which server.
    """

    receiver: str
    taken: bool
    trouble: str = ""
    to: str = ""

    @property
    def is_well(self) -> bool:
        """It has the event, and nothing keeps it."""
        return self.taken and not self.trouble

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AlertTest:
    """What became of event `ident`. `passive`: the other node is master, and tells what happens; mail of a test goes out."""

    ident: str
    receivers: tuple[Tried, ...]
    passive: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable."""
        return {"ident": self.ident, "passive": self.passive, "receivers": [one.as_dict() for one in self.receivers]}


def alert_test(
    site_file: str | os.PathLike[str], kinds: Kinds, timeout: float = TIMEOUT, state: Path | None = None
) -> AlertTest:
    """Record the event, and wait until every receiver has taken it, for `timeout` seconds at most.

    `state`: the state folder. Raises SiteInvalid where [alerts] or [snmp] have errors, Misuse where the site tells nobody,
    NotRunning and the like where no agent answers, CannotRun where the log is out of reach.
    """
    site = load_site(site_file, kinds)
    wrong = [one for one in lint(site_file, kinds) if _keeps_alerts(one)]
    if wrong:
        raise SiteInvalid(wrong)
    names = receivers_of(site)
    if not names:
        raise Misuse(f"{site_file}: nobody is told of anything: there is no [alerts], and no traps in [snmp]. Add one.")
    agent = Agent(site.agent.socket)
    before = agent.state()
    if before.observe:
        raise EngineError("the agent only observes, and tells nobody. Start it without --observe.")
    event, behind = _recorded(EventLog(state))
    taken = _wait(Places(state), names, behind, timeout)
    return AlertTest(event.ident, tuple(_tried(site, names, taken, agent.state().receivers)), _is_passive(before))


def _keeps_alerts(found: Finding) -> bool:
    return found.severity == "error" and found.key.partition(".")[0] in ("alerts", "snmp")


def _is_passive(state: AgentState) -> bool:
    return state.pair is not None and state.pair.role != "master"


def _recorded(log: EventLog) -> tuple[Event, Place]:
    """The event, and the place behind it."""
    end = log.end()
    text = "This is a test of alerts: nothing has happened."
    event = Event("test", text, socket.gethostname(), time.time(), who=who_asks(), origin=from_where())
    log.append([event])
    while (read := log.read(end)).events:
        for one, behind in read.events:
            if one.ident == event.ident:
                return event, behind
        end = read.end
    raise CannotRun(f"the event was written to {log.folder}, and is not there any more. See what else writes there.")


def _wait(places: Places, names: tuple[str, ...], behind: Place, timeout: float) -> set[str]:
    """Those that have taken it."""
    deadline = time.monotonic() + timeout
    while True:
        found = {name: places.of(name) for name in names}
        taken = {name for name, place in found.items() if place is not None and place >= behind}
        if len(taken) == len(names) or time.monotonic() >= deadline:
            return taken
        time.sleep(_LOOKS_EVERY)


def _tried(site: Site, names: tuple[str, ...], taken: set[str], troubles: Mapping[str, str]) -> Iterator[Tried]:
    for name in names:
        trouble = troubles.get(name, _UNKNOWN)
        to = _to(site, site.alerts) if name == "mail" and site.alerts else ""
        yield Tried(name, name in taken, trouble or ("" if name in taken else _LATE), to)


def _to(site: Site, alerts: Alerts) -> str:
    who = dict.fromkeys(who for route in Routes(site, alerts).all for who in route.to)
    by = f"{alerts.smart_host}:{alerts.smart_host_port}" if alerts.smart_host else "the mail servers of their domains"
    return f"{', '.join(who)}, by {by}"
