"""What the other node's key can't do here, nor an answer of a node that is broken."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, Misuse, Refused
from lbkit.operate import bundle, generation, handover, leave, putting, sync_taken
from lbkit.operate.outcome import Applied as Done
from lbkit.operate.receive import Here
from lbkit.operate.sync import Sync
from lbkit.pair.link import Link
from lbkit.state import left
from lbkit.state.applied import Applied, note
from lbkit.state.pair import PairSeen

NODES = [{"name": "lb1", "address": "192.0.2.1"}, {"name": "lb2", "address": "192.0.2.2"}]
SERVER = server("s", "192.0.2.60:80")
CERT = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setenv("LBKIT_NODE", "lb1")
    file = tmp_path / "site.toml"
    file.write_text(site(vip("V", "192.0.2.50:80", SERVER), pair={"nodes": NODES}))
    return Here(file, lambda: lbkit.load_site(file), Registry().kind, tmp_path / "state")


def given(here: Here, page: str) -> dict[str, Any]:
    """What `lbkit pair sync` of lb2 sends: a site with one more file."""
    text = site(vip("V", "192.0.2.50:80", SERVER), pair={"nodes": NODES}, fallback_page={"file": page}).encode()
    file = bundle.Named(page, b"* * * * * root true\n", 0o644, False)
    made = bundle.Bundle(text, 0o644, (file,))
    applied = Applied().next(made.digest, "lb2").as_dict()
    values = {"from": "lb2", "lbkit": version_of_lbkit(), "applied": applied, "site": made.as_dict()}
    return json.loads(json.dumps(values | {"dry_run": True, "force": True}))  # type: ignore[no-any-return]


def version_of_lbkit() -> str:
    from importlib.metadata import version

    return version("lbkit-core")


@pytest.mark.parametrize(
    "page", ["/etc/cron.d/x", "../x", "tls/../../x", ".site.toml.files", "a/.b/c", "/etc/ssl/../x"]
)
def test_a_sync_puts_no_file_where_no_file_of_a_site_is(here: Here, page: str) -> None:
    with pytest.raises(Misuse, match=r"lb2's site names .*\. This node takes files below"):
        sync_taken.take(here, given(here, page))


def test_a_file_elsewhere_that_this_nodes_own_site_names_may_come_anew(here: Here, tmp_path: Path) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}.html"
    values = given(here, str(elsewhere))
    with pytest.raises(Misuse, match="This node takes files below"):
        sync_taken.take(here, values)
    here.site_file.write_bytes(bundle.Bundle.of(values["site"]).text)
    sync_taken._demand_places(bundle.Bundle.of(values["site"]), here.site_file, "lb2")


def test_a_node_says_of_itself_alone_that_it_has_left(here: Here) -> None:
    for node in ("lb1", "lb9", None):
        with pytest.raises(Misuse, match="lb2 says of itself"):
            leave.told(here, {"node": node, "who": "x", "when": 1})
    assert left.read(here.state) is None
    leave.told(here, {"node": "lb2", "who": "x", "when": float("inf")})
    found = left.read(here.state)
    assert found is not None
    assert str(found).startswith("lb2 left the pair at 2")


@pytest.mark.parametrize(
    "hop", ["192.0.2.1; flush ruleset", "fe80::1%eth0\nflush ruleset", "fe80::1%eth0", "lb2", "", None, ["192.0.2.1"]]
)
def test_a_hop_is_an_address_before_it_comes_into_a_ruleset(hop: object) -> None:
    with pytest.raises(Misuse, match="hops"):
        handover._hops({"192.0.2.50": hop})


def test_hops_are_addresses_by_address() -> None:
    assert handover._hops({"192.0.2.50": "192.0.2.2", "2001:db8::50": "fe80::2"}) == {
        "192.0.2.50": "192.0.2.2",
        "2001:db8::50": "fe80::2",
    }
    with pytest.raises(Misuse, match="hops"):
        handover._hops(None)


@pytest.mark.parametrize("seconds", ["inf", "nan", "soon", None])
def test_a_switch_ends_some_day(seconds: object) -> None:
    values = {"ident": "1", "old": "lb1", "new": "lb2", "for": seconds}
    with pytest.raises(Misuse, match="wants ident, old, new and for"):
        handover._switch(values, (), None)


SEEN: Mapping[str, Any] = PairSeen("lb2", "master", 1.5, "running", "up", ("192.0.2.50",), True).as_dict()


def test_what_an_agent_says_of_its_pair_is_taken_as_it_is() -> None:
    assert PairSeen.of(json.loads(json.dumps(SEEN))).as_dict() == SEEN


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("role", "owner"), ("role", ["master"]), ("since", None), ("since", "1"), ("since", float("nan")),
        ("can_serve", "no"), ("why_not", None), ("tracked", None), ("tracked", {"holder": "1"}), ("peer", None),
    ],
)  # fmt: skip
def test_what_no_agent_says_does_not_reach_the_watchman(key: str, value: object) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        PairSeen.of({**SEEN, key: value})


def test_words_of_the_other_node_are_safe_on_a_terminal_and_keep_their_lines(here: Here) -> None:
    answer = json.dumps({"ok": False, "code": 3, "error": "one\x1b[2J\ntwoMORE"})
    script = f"import sys; sys.stdin.readline(); print({answer!r}.replace('MORE', 'x' * 1000000))"
    with (
        Link(here.site, here.site.pair.nodes[1], command=[sys.executable, "-I", "-S", "-c", script]) as link,  # type: ignore[union-attr]
        pytest.raises(Misuse) as raised,
    ):
        link.ask("hello")
    assert str(raised.value).startswith("node lb2: one?[2J\ntwo")
    assert len(str(raised.value)) < 100_000


@pytest.mark.parametrize("when", [float("inf"), float("nan"), 1e300, -1])
def test_a_generation_has_a_time_that_can_be_said(when: float) -> None:
    with pytest.raises(Misuse, match="no generation"):
        Applied.of({**Applied().next("a", "lb1").as_dict(), "when": when})


class Answers:
    """The other node: takes all that comes."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, question: str, timeout: float | None = None, **values: Any) -> dict[str, Any]:
        self.asked.append(question)
        return {"changes": [], "steps": [], "warnings": [], "applied": Applied().as_dict()}


def test_a_generation_that_came_meanwhile_is_not_taken_back(here: Here) -> None:
    note(bundle.digest(here.site_file), "lb1", here.state)
    peer: Any = Answers()
    work = Sync(here.site, here.site_file, peer, here.state)
    work.look()
    newer = Applied.read(here.state).next("another", "lb2")
    newer.write(here.state)
    with pytest.raises(Refused, match=r"another site since it was looked at: generation 2 .*Sync again"):
        work.carry_out()
    assert Applied.read(here.state) == newer
    assert peer.asked == ["sync.state", "sync.take"]  # the second: tried, no more


def test_a_site_is_not_applied_while_another_one_comes(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def bring(*_: object, **__: object) -> Done:
        begun.append("apply")
        return Done()

    monkeypatch.setattr(generation, "bring", bring)
    monkeypatch.setattr(putting, "_OTHERS", 0.05)

    def apply() -> None:
        generation.apply(here.site_file, here.site, here.kind_of, state=here.state)

    with putting.alone(here.state), pytest.raises(CannotRun, match="another lbkit has held"):
        apply()
    assert (begun, Applied.read(here.state)) == ([], Applied())
    real = putting.alone

    def after_a_change(*given: Any) -> Any:
        here.site_file.write_text(here.site_file.read_text() + "# from lb2\n")
        return real(*given)

    with monkeypatch.context() as late:
        late.setattr(putting, "alone", after_a_change)
        with pytest.raises(Misuse, match="was changed in this moment"):
            apply()
    assert (begun, Applied.read(here.state)) == ([], Applied())
    apply()
    assert (begun, Applied.read(here.state).generation) == (["apply"], 1)


def test_a_draft_in_a_home_is_not_the_nodes_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Here) -> None:
    """sshd starts it in the home of its user."""
    import subprocess

    monkeypatch.delenv("LBKIT_SITE", raising=False)
    question = b'{"version": 1, "ask": "hello"}\n'
    command = [str(Path(sys.executable).with_name("lbkit")), "pair-receive"]

    def node(*more: str) -> str:
        ran = subprocess.run([*command, *more], input=question, capture_output=True, timeout=30, cwd=tmp_path)
        return str(json.loads(ran.stdout)["node"])

    assert node("--site", "site.toml") == "lb1"
    if Path("/etc/lbkit/site.toml").exists():
        pytest.skip(reason="this machine has a site of its own")
    assert node() == ""
