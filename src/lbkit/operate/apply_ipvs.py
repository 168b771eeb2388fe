"""From the site to the kernel's IPVS: render, diff, apply. The agent does it where one runs, for it knows the health."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from lbkit.checks.plan import KindOf, plan
from lbkit.checks.survey import survey
from lbkit.errors import NotAllowed, NotDone, NotRunning
from lbkit.install.difference import Change
from lbkit.ipvs import owned, rules
from lbkit.ipvs.difference import ServiceStep
from lbkit.ipvs.engine import Ipvs
from lbkit.ipvs.wanted import Table, layer_4, of_site
from lbkit.operate.layer4 import UNWATCHED
from lbkit.operate.outcome import Applied, Progress
from lbkit.operate.wording import many
from lbkit.site.model import Site
from lbkit.state.agent import Agent, AgentState
from lbkit.state.intents import Intent
from lbkit.state.intents import Intents as Store
from lbkit.state.observed import Health

TABLE = Path("/proc/net/ip_vs")  # where the kernel shows it, and by what a diff calls it
Intents = Mapping[tuple[str, str], Intent]
LEFT = "left so, for the agent only observes (--observe)"
_LOOKS = 3  # at what the agent has done


def concerns(site: Site, state: Path | None = None) -> bool:
    """Whether the site has layer-4 VIPs, or had, so that some are left in the kernel."""
    return bool(layer_4(site) or owned.read(state) or owned.daemons(state))


def render(site: Site) -> str:
    """The layer-4 VIPs as `ipvsadm -R` takes them, every real server online and up."""
    return _text(of_site(site))


def diff(site: Site, intents: Intents, state: Path | None = None) -> Change | None:
    """What `apply` would change in the kernel; a note says so if the agent only observes. Raises EngineError."""
    agent = _agent(site)
    try:
        return _change(site, intents, agent, state)
    except (NotRunning, NotAllowed):
        if agent is not None and agent.observe:
            return None  # it would be left so anyhow
        raise


def _change(site: Site, intents: Intents, agent: AgentState | None, state: Path | None) -> Change | None:
    health, shares = _health(agent), _shares(agent)
    ipvs = Ipvs(site, state)
    try:
        todo, settings = ipvs.difference(intents, health, shares)
        syncing = ipvs.sync_difference()
        if not todo and not settings and not syncing:
            return None
        notes = (*map(_setting, settings.items()), *(step.note for step in syncing))
        notes += (LEFT,) if agent and agent.observe else ()
        now = {
            key: (one.service, {p: d.destination for p, d in one.destinations.items()})
            for key, one in ipvs.now().items()
        }
        wanted = dict(now)
        for key in [step.service.key for step in todo if isinstance(step, ServiceStep) and step.verb == "remove"]:
            del wanted[key]
        wanted |= ipvs.wanted(intents, health, shares)
        return Change(TABLE, "changed", _unified(_text(_in_order(now)), _text(_in_order(wanted))), notes)
    finally:
        ipvs.close()


def apply(
    site: Site,
    kind_of: KindOf,
    intents: Callable[[], Intents],
    done: Applied,
    state: Path | None,
    progress: Progress,
) -> None:
    """Bring IPVS to the site. `intents`: reads those in force. Raises EngineError."""
    try:
        _by_agent(site, intents, done, state, progress)
    except NotRunning:
        progress("checking the real servers of layer 4")
        _by_hand(site, kind_of, intents, done, state)


def _by_agent(
    site: Site, intents: Callable[[], Intents], done: Applied, state: Path | None, progress: Progress
) -> None:
    agent = Agent(site.agent.socket)
    agent.state()
    progress("the agent reads the site")
    answer = agent.reload()
    if answer.vips.keys() != {vip.label for vip in layer_4(site)}:
        raise NotDone(
            f"the agent runs with another site file, {answer.site_file}: its layer-4 VIPs are other ones. Apply that file, "
            "or start the agent with this one."
        )
    if answer.observe:
        done.warnings.append("the agent only observes (--observe): IPVS is left as it is.")
    else:
        _read_back(site, intents, agent, state)
        done.steps.append(f"the agent (pid {answer.pid}) runs with the site: {many(len(answer.vips), 'layer-4 VIP')}")
    if answer.trouble:
        done.warnings.append(f"the agent says: {answer.trouble}")


def _read_back(site: Site, intents: Callable[[], Intents], agent: Agent, state: Path | None) -> None:
    """The agent may run with another file than this one. What turns meanwhile is looked at anew."""
    for _ in range(_LOOKS):
        change = _change(site, intents(), agent.reconcile(), state)
        if change is None:
            return
    assert change is not None  # noqa: S101
    raise NotDone(
        f"the agent has not brought IPVS to this site: {change.summary}. It runs with {agent.state().site_file}. Apply that "
        "file, or start the agent with this one."
    )


def _by_hand(site: Site, kind_of: KindOf, intents: Callable[[], Intents], done: Applied, state: Path | None) -> None:
    """Nobody checks after this, so each real server is checked now, once: none that is dead is put in."""
    vips = [vip.label for vip in layer_4(site)]
    ipvs = Ipvs(site, state)
    try:
        ipvs.now()  # before anybody waits for a check
        health = _checked(site, kind_of, vips) if vips else {}
        with Store(state).alone():  # what an operator asks while the checks run is not undone
            done.steps += ipvs.reconcile(intents(), health)
    finally:
        ipvs.close()
    if vips:
        done.steps.append(f"read back: {many(len(vips), 'layer-4 VIP')} in IPVS")
        done.warnings.append(UNWATCHED)


def _checked(site: Site, kind_of: KindOf, vips: list[str]) -> dict[tuple[str, str], Health]:
    """What one check of each finds. A check that can't be run says nothing of the server, which is left in."""
    planned = plan(site, kind_of, vips, virtual=False)

    async def run() -> dict[tuple[str, str], Health]:
        found: dict[tuple[str, str], Health] = {}
        async for _, one in survey(planned):
            if one.server is not None and one.result.status == "down":
                found[one.vip, one.server] = "down"
        return found

    return asyncio.run(run())


def _agent(site: Site) -> AgentState | None:
    try:
        return Agent(site.agent.socket).state()
    except NotRunning:
        return None


def _health(agent: AgentState | None) -> dict[tuple[str, str], Health]:
    """As the agent has it carried out; without one nobody knows it. What it holds is left as it is."""
    return {
        (vip, label): "unknown" if seen.held and one.health == "down" else one.health
        for vip, seen in (agent.vips if agent else {}).items()
        for label, one in seen.servers.items()
    }


def _shares(agent: AgentState | None) -> dict[tuple[str, str], float]:
    vips = agent.vips if agent else {}
    return {(vip, label): one.share for vip, seen in vips.items() for label, one in seen.servers.items()}


def _text(table: Table) -> str:
    return "".join(f"{line}\n" for line in rules.lines((service, there.values()) for service, there in table.values()))


def _in_order(table: Table) -> Table:
    """The kernel has them in none that means anything."""
    return {
        key: (service, dict(sorted(there.items())))
        for key, (service, there) in sorted(table.items(), key=lambda item: str(item[0]))
    }


def _unified(now: str, wanted: str) -> tuple[str, ...]:
    names = (f"a{TABLE}", f"b{TABLE}")
    return tuple(difflib.unified_diff(now.splitlines(), wanted.splitlines(), *names, lineterm=""))


def _setting(one: tuple[str, str]) -> str:
    return f"net.ipv4.vs.{one[0]} becomes {one[1]}"
