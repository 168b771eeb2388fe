"""What is not as it should be on one node of the pair, whatever the other does."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.operate.finding import Finding
from lbkit.operate.node_status import NodeStatus
from lbkit.operate.wording import many


def problems(one: NodeStatus) -> Iterator[Finding]:
    """HAProxy, agent, configuration, what operators asked of the node, and what could not be found out."""
    found = [*_haproxy(one), *_agent(one), *_configuration(one)]
    yield from found
    yield from _asked(one)
    for what, why in one.troubles.items():
        yield Finding("wrong", one.node, f"{what}: {why}")
    seen = one.agent.pair
    if seen and not seen.can_serve and seen.why_not and not found and one.keepalived == "running" and not one.tracked:
        yield Finding("wrong", one.node, f"it can't take the VIPs over: {seen.why_not}", "lbkit overview")


def left(here: NodeStatus, there: NodeStatus | None) -> Iterator[Finding]:
    """That one of them is out of the pair, which explains what else is told of it."""
    gone = here.left or (there.left if there else "")
    if gone:
        todo = "back: lbkit apply and lbkit pair maintenance off on it, then lbkit pair sync on the other one"
        yield Finding("wrong", "", f"{gone}: the other one goes on alone.", todo)


def _haproxy(one: NodeStatus) -> Iterator[Finding]:
    if one.haproxy.state == "dead":
        yield Finding("wrong", one.node, "HAProxy does not run.", "journalctl -u haproxy; systemctl restart haproxy")
    elif one.haproxy.state == "hung":
        todo = "systemctl kill -s KILL haproxy; systemctl restart haproxy"
        yield Finding("wrong", one.node, "HAProxy hangs: it takes connections, and answers nothing.", todo)


def _agent(one: NodeStatus) -> Iterator[Finding]:
    if one.agent.silent:
        what = f"{one.agent.silent.rstrip('.')}. Until then nobody tells keepalived of HAProxy and of the real servers."
        yield Finding("wrong", one.node, what, "systemctl restart lbkit-agent")
    elif one.agent.observe:
        what = "the agent observes only: nobody tells keepalived of HAProxy and of the real servers."
        yield Finding("wrong", one.node, what, "systemctl restart lbkit-agent")
    elif one.agent.trouble:
        yield Finding("wrong", one.node, f"the agent says: {one.agent.trouble}", "lbkit agent --status")


def _configuration(one: NodeStatus) -> Iterator[Finding]:
    if one.differs:
        named = ", ".join(one.differs[:3]) + (f" and {len(one.differs) - 3} more" if len(one.differs) > 3 else "")
        what = f"it does not run with its site file: {many(len(one.differs), 'part')} would change ({named})."
        yield Finding("wrong", one.node, what, "lbkit diff, then lbkit apply")
    elif one.applied.digest and one.digest and one.applied.digest != one.digest:
        what = "its site file, or a file that it names, was changed since it was applied."
        yield Finding("wrong", one.node, what, "lbkit diff, then lbkit apply")


def _asked(one: NodeStatus) -> Iterator[Finding]:
    if "maintenance" in one.tracked:
        said = f", {one.maintenance}" if one.maintenance else ""
        what = f"it is in maintenance{said}. It takes the VIPs only if the other node can't."
        yield Finding("wrong", one.node, what, f"lbkit pair maintenance off {one.node}")
    if "prefer" in one.tracked:
        yield Finding("note", one.node, "an operator wants the VIPs here.", "lbkit failback takes that back")
    if one.agent.pair and one.agent.pair.keeps_sessions:
        yield Finding("note", one.node, "it still hands sessions of before a failover to the other node.")
