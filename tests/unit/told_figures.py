"""Figures of a node, made up, with something of everything."""

from __future__ import annotations

from dataclasses import replace

from unit.site_text import server, site, vip

from lbkit.checks.exposition import ResultRow
from lbkit.checks.registry import Registry
from lbkit.checks.result import Result
from lbkit.metrics.figures import Expiry, Figures
from lbkit.metrics.rows import named_check
from lbkit.site.load import load_site
from lbkit.state.agent import AgentState
from lbkit.state.intents import Intent
from lbkit.state.observed import ServerState, VipState
from lbkit.state.pair import PairSeen, PeerSeen

UP = ServerState("online", "up", weight=100, connections=3)
DOWN = ServerState("online", "down", weight=100)
PAIR = PairSeen("lb1", "master", 60.0, "running", "up", (), True, peer=PeerSeen(answer_age=1.0, role="backup"))


def site_of(folder, *vips):
    nodes = [{"name": name, "address": f"192.0.2.{250 + number}"} for number, name in enumerate(("lb1", "lb2"))]
    file = folder / "site.toml"
    file.write_text(site(*vips, pair={"nodes": nodes}))
    return load_site(file, Registry().models())


def of(site, vips, layer_7=None, **more):
    """`more`: of the agent's state, or of the figures."""
    of_state = {name: more.pop(name) for name in list(more) if name not in Figures.__dataclass_fields__}
    state = AgentState(1, False, "S", "site.toml", 1, vips, layer_7=layer_7 or {}, **of_state)
    return Figures(site, state, "0.1.0", **more)


def row(vip, server, result):
    return ResultRow(named_check(vip, server, result.check, result.target), result)


def everything(folder):
    """Of a node of a pair with a VIP of each layer; each metric has a sample."""
    four = vip("FOUR", "192.0.2.1:104", server("a", "192.0.2.11"), server("b", "192.0.2.12"), mode="l4-dr")
    four["persistence"] = {"mode": "source-ip"}
    seven = vip("SEVEN", "192.0.2.2:443", server("c", "192.0.2.13:443"))
    steps = {"connect": 0.125, "echo": 0.0625}
    up = Result("c-echo", "192.0.2.11:104", "up", "echo", "ok", "SAID", 0.25, steps, {"warnings": ["SAID"]})
    down = Result("c-echo", "192.0.2.12:104", "down", "connect", "refused", "SAID", 0.5, {"connect": 0.5})
    odd = Result("c-echo", "192.0.2.13:104", "not-testable", "", "not-allowed", "SAID", 0.0)
    return of(
        site_of(folder, four, seven),
        {"FOUR": VipState({"a": UP._replace(kept=4, share=0.25), "b": DOWN._replace(why="SAID")}, 7)},
        {"SEVEN": VipState({"c": UP._replace(wanted="drain")}, 3)},
        trouble="SAID",
        lag=0.0015,
        pair=replace(PAIR, why_not="SAID"),
        counters={"server-down": 2},
        receivers={"mail": "", "traps": "SAID"},
        checks=[row("FOUR", "a", up), row("FOUR", "b", down), row("SEVEN", "c", odd)],
        failures={("FOUR", "b"): {"refused": 5}},
        intents={("SEVEN", "c"): Intent("SEVEN", "c", "halt", when=1_767_225_600.0, who="SAID", why="SAID")},
        entries={"SEVEN": 1},
        expiries=[Expiry("certificate", "own", 1_800_000_000.0), Expiry("crl", "mTLS", 1_790_000_000.0)],
        reconciled=0.002,
    )
