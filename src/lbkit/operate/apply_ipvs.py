"""From the site to the kernel's IPVS: render, diff, apply. The agent does it where one runs, for it knows the health."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from pathlib import Path

from lbkit.checks.plan import KindOf, plan
from lbkit.checks.survey import survey
from lbkit.errors import NotDone, NotRunning
from lbkit.install.difference import Change
from lbkit.ipvs import owned, rules
from lbkit.ipvs.engine import Ipvs
from lbkit.ipvs.wanted import Table, layer_4, of_site
from lbkit.operate.layer4 import UNWATCHED
from lbkit.operate.outcome import Applied, Progress
from lbkit.site.model import Site
from lbkit.state.agent import Agent, AgentState
from lbkit.state.intents import Intent
from lbkit.state.observed import Health

TABLE = Path("/proc/net/ip_vs")  # where the kernel shows it, and by what a diff calls it
Intents = Mapping[tuple[str, str], Intent]


def concerns(site: Site, state: Path | None = None) -> bool:
    """Whether the site has layer-4 VIPs, or had, so that some are left in the kernel."""
    return bool(layer_4(site) or owned.read(state))


def render(site: Site) -> str:
    """The layer-4 VIPs as `ipvsadm -R` takes them, every real server online and up."""
    return _text(of_site(site))


def diff(site: Site, intents: Intents, state: Path | None = None) -> Change | None:
    """What `apply` would change in the kernel; nothing, if the agent only observes. Raises EngineError."""
    agent = _agent(site)
    if agent is not None and agent.observe:
        return None
    health = _health(agent)
    ipvs = Ipvs(site, state)
    try:
        todo, settings = ipvs.difference(intents, health)
        if not todo and not settings:
            return None
        now = {
            key: (one.service, {p: d.destination for p, d in one.destinations.items()})
            for key, one in ipvs.now().items()
        }
        wanted = dict(now)
        for key in [step.service.key for step in todo if hasattr(step, "service") and step.verb == "remove"]:
            del wanted[key]
        wanted |= ipvs.wanted(intents, health)
        return Change(TABLE, "changed", _unified(_text(now), _text(wanted)), tuple(map(_setting, settings.items())))
    finally:
        ipvs.close()


def apply(site: Site, kind_of: KindOf, intents: Intents, done: Applied, state: Path | None, progress: Progress) -> None:
    """Bring IPVS to the site. Raises EngineError."""
    try:
        _by_agent(site, done, progress)
    except NotRunning:
        progress("checking the real servers of layer 4")
        _by_hand(site, kind_of, intents, done, state)


def _by_agent(site: Site, done: Applied, progress: Progress) -> None:
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
        done.steps.append(f"the agent (pid {answer.pid}) runs with the site: {len(answer.vips)} layer-4 VIPs")
    if answer.trouble:
        done.warnings.append(f"the agent says: {answer.trouble}")


def _by_hand(site: Site, kind_of: KindOf, intents: Intents, done: Applied, state: Path | None) -> None:
    """Nobody checks after this, so each real server is checked now, once: none that is dead is put in."""
    vips = [vip.label for vip in layer_4(site)]
    ipvs = Ipvs(site, state)
    try:
        ipvs.now()  # before anybody waits for a check
        done.steps += ipvs.reconcile(intents, _checked(site, kind_of, vips) if vips else {})
    finally:
        ipvs.close()
    if vips:
        done.steps.append(f"read back: {len(vips)} layer-4 VIPs in IPVS")
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
    """As the agent knows it; without one nobody does."""
    vips = agent.vips if agent else {}
    return {(vip, label): one.health for vip, seen in vips.items() for label, one in seen.servers.items()}


def _text(table: Table) -> str:
    return "".join(f"{line}\n" for line in rules.lines((service, there.values()) for service, there in table.values()))


def _unified(now: str, wanted: str) -> tuple[str, ...]:
    names = (f"a{TABLE}", f"b{TABLE}")
    return tuple(difflib.unified_diff(now.splitlines(), wanted.splitlines(), *names, lineterm=""))


def _setting(one: tuple[str, int]) -> str:
    return f"net.ipv4.vs.{one[0]} becomes {one[1]}"
