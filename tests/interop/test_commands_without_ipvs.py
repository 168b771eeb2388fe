"""The operator's commands for a site of both layers, on a machine whose kernel has no IPVS."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from interop.agents import eventually
from interop.engines import haproxy_of
from interop.engines import short as short
from interop.operated import HOST, Named, Operated, own_port
from interop.test_agent_command import CommandLine
from unit.site_text import server, vip

from lbkit.haproxy import process
from lbkit.haproxy.program import HAPROXY
from lbkit_cli.main import main

pytestmark = pytest.mark.skipif(Path("/proc/net/ip_vs").exists(), reason="this kernel has IPVS")

NO_IPVS = "this kernel has no IPVS, or has not loaded it. As root: modprobe ip_vs"
OFTEN = {"kind": "connect", "interval": "100ms", "rise": 1, "fall": 2}


class Both:
    """The VIPs SEVEN and FOUR, in front of one server; nothing is applied yet."""

    def __init__(self, folder: Path) -> None:
        self.server = Named("one")
        target = server("one", f"{HOST}:{self.server.port}")
        seven = vip("SEVEN", f"{HOST}:{own_port()}", target, check=OFTEN)
        four = vip("FOUR", "127.0.0.9:104", target, check=OFTEN, mode="l4-dr")
        settings = {"socket": str(folder / "agent.sock"), "check_port": own_port()}
        self.site = Operated(folder, seven, four, servers={"one": self.server}, agent=settings)
        self.agent = CommandLine(folder)


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def both(short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    monkeypatch.setenv(HAPROXY, haproxy_of("2.8").path)
    made = Both(short)
    monkeypatch.setenv("LBKIT_SITE", str(made.site.file))
    monkeypatch.setenv("LBKIT_STATE", str(made.site.state))
    monkeypatch.setenv("COLUMNS", "200")
    yield made
    process.stop(made.site.haproxy)
    made.server.die()


@pytest.fixture
def lbkit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """What the installed command runs, in this process."""

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["lbkit", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Ran(int(end.value.code or 0), said.out, said.err)

    return run


@pytest.mark.parametrize("words", [("apply",), ("apply", "--dry-run"), ("diff",)])
def test_nothing_is_touched_and_the_way_on_is_named(
    words: tuple[str, ...], both: Both, lbkit: Callable[..., Ran]
) -> None:
    ran = lbkit(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"lbkit: {NO_IPVS}; for HAProxy's part alone: --only haproxy. Nothing was touched.\n"
    assert not both.site.haproxy.configuration.exists()
    assert not process.is_running(both.site.haproxy)


def test_layer_7_is_applied_and_operated_alone_and_it_is_said_why_layer_4_is_unseen(
    both: Both, lbkit: Callable[..., Ran]
) -> None:
    assert lbkit("diff", "--only", "haproxy").code == 1
    applied = lbkit("apply", "--only", "haproxy")
    assert (applied.code, applied.err) == (0, "")
    assert "read back: 1 VIP with all real servers" in applied.out
    assert lbkit("diff", "--only", "haproxy").code == 0
    assert both.site.named("SEVEN") == "one"
    seen = lbkit("overview")
    assert seen.code == 1
    assert f"unknown  FOUR  {NO_IPVS}" in seen.out
    views = {one["vip"]: one for one in json.loads(lbkit("overview", "--json").out)["vips"]}
    assert (views["SEVEN"]["unseen"], views["FOUR"]["unseen"]) == ("", NO_IPVS)
    assert lbkit("overview", "SEVEN").code == 0
    for words in (
        ("overview", "FOUR"),
        ("why", "FOUR"),
        ("drain", "FOUR", "one", "--force"),
        ("apply", "--only", "ipvs"),
    ):
        ran = lbkit(*words)
        assert (ran.code, ran.out, ran.err) == (2, "", f"lbkit: {NO_IPVS}\n")
    assert json.loads(lbkit("intents", "--json").out) == {"intents": [], "peer": None}


def test_the_agent_checks_layer_4_all_the_same_and_is_left_alone_with_haproxys_part(
    both: Both, lbkit: Callable[..., Ran]
) -> None:
    assert lbkit("apply", "--only", "haproxy").code == 0
    both.agent.start()
    try:
        eventually(lambda: both.agent.health("FOUR/one") == "up")
        seen = lbkit("overview")
        assert seen.code == 1
        assert f"warning  the agent says: {NO_IPVS}" in seen.out
        both.server.die()
        eventually(lambda: both.agent.health("FOUR/one") == "down")
        assert "DOWN     FOUR / one  connect (refused)" in lbkit("overview").out
        again = lbkit("apply", "--only", "haproxy")
        assert again.code == 0
        assert "goes on with the site as it was" in again.err
    finally:
        assert both.agent.stop() == 0
