"""How the pair is (guide 11): both nodes side by side, the ways between them, and what is not as it should be."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from lbkit.errors import EngineError, LbkitError, Misuse, NotAllowed
from lbkit.operate import node_look, pair_alike, pair_link, pair_parts, pair_roles
from lbkit.operate.both import have_met
from lbkit.operate.finding import Finding
from lbkit.operate.node_status import NodeStatus
from lbkit.operate.pair_link import Reached
from lbkit.operate.receive import Here
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.state.node import peer_of

PEER_WITHIN = 7.0  # seconds for all that the peer is asked; with the probe entry it is below 10
_PROBE_WITHIN = 1.5


@dataclass(frozen=True, slots=True)
class PairStatus:
    """`here`: this node. `there`: the other one, None: it could not be asked. `findings`: the worst first."""

    site: str
    here: NodeStatus
    peer: str
    there: NodeStatus | None
    reached: Reached
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> Literal[0, 1, 2]:
        """2: split brain, or nobody has the VIPs. 1: something is not as it should be. Else 0."""
        levels = {one.level for one in self.findings}
        return 2 if "outage" in levels else 1 if "wrong" in levels else 0

    @property
    def verdict(self) -> str:
        """In a line."""
        if self.exit_code == 2:
            return next(one.what for one in self.findings if one.level == "outage")
        master = next((one.node for one in (self.here, self.there) if one and one.is_master), self.peer)
        if self.exit_code == 1:
            number = sum(one.level == "wrong" for one in self.findings)
            things = "1 thing is" if number == 1 else f"{number} things are"
            return f"{master} has the VIPs; {things} not as it should be."
        backup = self.peer if master == self.here.node else self.here.node
        return f"All is well: {master} has the VIPs, and {backup} can take them over."

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        nodes = {self.here.node: self.here.as_dict(), self.peer: self.there.as_dict() if self.there else None}
        return {
            "site": self.site,
            "here": self.here.node,
            "nodes": nodes,
            "reached": self.reached.as_dict(),
            "findings": [one.as_dict() for one in self.findings],
            "verdict": self.verdict,
            "code": self.exit_code,
        }


def pair_status(here: Here, connect: Callable[[Site], Link] | None = None) -> PairStatus:
    """Both nodes at the same time, within 10 seconds whatever they do. `connect`: instead of ssh (tests).

    Raises Misuse for a site without a pair, and where this machine is none of its nodes.
    """
    peer = peer_of(here.site)
    if peer is None:
        raise Misuse(f"site {here.site.name} has no [pair]: there is no other node. docs/pair.md says how to make one.")
    token = secrets.token_hex(8)
    with Link(here.site, peer) if connect is None else connect(here.site) as link, ThreadPoolExecutor(2) as threads:
        met = connect is not None or have_met(here.site)
        asked = threads.submit(_asked if met else _not_met, link, token)
        own = node_look.look(here, token)
        there, reached = asked.result()
        if there is not None and own.haproxy.probe and there.haproxy.probe:
            reached = _probed(here, link, token, reached, threads)
    assert here.site.pair is not None  # noqa: S101
    interval = here.site.pair.advert_interval
    reached = replace(
        reached,
        vrrp=pair_link.vrrp_gets_through(own, there, interval),
        agents=pair_link.agents_reach_each_other(own, there),
    )
    found = findings(interval, own, peer.name, there, reached)
    return PairStatus(here.site.name, own, peer.name, there, reached, found)


def findings(
    interval: float, here: NodeStatus, peer: str, there: NodeStatus | None, reached: Reached
) -> tuple[Finding, ...]:
    """What is not as it should be, the worst first. `interval`: of adverts, in seconds."""
    found = [
        *pair_roles.problems(here, peer, there, interval),
        *pair_link.problems(here, peer, there, reached, interval),
        *pair_parts.problems(here),
        *pair_parts.left(here, there),
    ]
    if there is not None:
        found += [*pair_parts.problems(there), *pair_alike.problems(here, there)]
    return tuple(sorted(found, key=lambda one: ("outage", "wrong", "note").index(one.level)))


def _asked(link: Link, token: str) -> tuple[NodeStatus | None, Reached]:
    deadline = time.monotonic() + PEER_WITHIN

    def ask(question: str, **values: str) -> dict[str, Any]:
        return link.ask(question, max(0.1, deadline - time.monotonic()), **values)

    try:
        ask("hello")  # ssh and lbkit begin: what comes then is quick, and tells the time
        began = time.time()
        offset = float(ask("hello")["time"]) - (began + time.time()) / 2
        answer = ask("status", token=token)
        return NodeStatus.of(answer["status"]), Reached(offset=offset)
    except NotAllowed as e:
        return None, Reached(str(e), lets_in=False)
    except LbkitError as e:
        return None, Reached(str(e))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, Reached(
            f"node {link.peer.name} answers in a way that this lbkit does not know. Install the same on both."
        )


def _not_met(link: Link, token: str) -> tuple[None, Reached]:
    return None, Reached(f"this node and {link.peer.name} have not met.", lets_in=False)


def _probed(here: Here, link: Link, token: str, reached: Reached, threads: ThreadPoolExecutor) -> Reached:
    """Whether each node's entry has come to the other one."""

    def there() -> bool:
        return bool(link.ask("status.probe", _PROBE_WITHIN, token=token).get("found"))

    asked = threads.submit(there)
    return replace(reached, probe_here=_or_none(lambda: node_look.has_probe(here, token)), probe_there=_result(asked))


def _or_none(ask: Callable[[], bool]) -> bool | None:
    try:
        return ask()
    except EngineError:
        return None


def _result(asked: Future[bool]) -> bool | None:
    return _or_none(asked.result)
