"""What a real agent serves of a site with both layers, read as Prometheus does, and by Prometheus itself."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from interop.agents import AgentProcess, eventually, l4, running
from interop.engines import haproxy_of
from interop.engines import short as short
from interop.operated import HOST, Named, Operated, operated, own_port
from interop.remotes import serving
from prometheus_client.parser import text_string_to_metric_families
from unit.site_text import server, vip
from unit.told_figures import everything

from lbkit.haproxy import process
from lbkit.haproxy.program import HAPROXY
from lbkit.metrics.page import METRICS, page
from lbkit.operate.drain import drain
from lbkit.testing import ThrowawayCA
from lbkit.tls.certificate import read_certificates

PACKAGING = Path(__file__).parent.parent.parent / "packaging/prometheus"
OFTEN = {"kind": "connect", "interval": "100ms", "rise": 1, "fall": 2}


class Scene:
    """A VIP SEVEN in a real HAProxy and a VIP FOUR of the agent's own checks, both before servers one and two."""

    def __init__(self, site: Operated, agent: AgentProcess, port: int, one: Named) -> None:
        self.site = site
        self.agent = agent
        self.port = port
        self.one = one

    def get(self) -> str:
        """The page of now."""
        asking = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            asking.request("GET", "/metrics")
            return asking.getresponse().read().decode()
        finally:
            asking.close()

    def read(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (one.name, frozenset(one.labels.items())): one.value
            for family in text_string_to_metric_families(self.get())
            for one in family.samples
        }

    def value(self, metric: str, **labels: str) -> float | None:
        return self.read().get((metric, frozenset(labels.items())))

    def becomes(self, wanted: float, metric: str, **labels: str) -> None:
        eventually(lambda: self.value(metric, **labels) == wanted)


@pytest.fixture
def scene(short: Path, monkeypatch: pytest.MonkeyPatch, throwaway_ca: ThrowawayCA) -> Iterator[Scene]:
    monkeypatch.setenv(HAPROXY, haproxy_of("2.8").path)
    port, own = own_port(), throwaway_ca.client
    with ExitStack() as ends:
        one, two = Named("one"), Named("two", "127.0.0.2")
        both = [server(each.name, f"{each.host}:{each.port}") for each in (one, two)]
        kept = {"mode": "last-successful"}
        seven = vip("SEVEN", f"{HOST}:{own_port()}", *both, check=OFTEN, scheduler="first", persistence=kept)
        more = {
            "agent": {"socket": str(short / "agent.sock")},
            "metrics": {"port": port},
            "certificates": {"own": {"file": own.cert_file, "key_file": own.key_file}},
        }
        site = ends.enter_context(operated(short, seven, servers={"one": one, "two": two}, **more))
        site.write(seven, l4("FOUR", "127.0.0.9:104", *both, check=OFTEN))  # IPVS is not on every machine
        agent = AgentProcess(short)
        agent.state_folder = site.state
        ends.enter_context(running(agent))
        made = Scene(site, agent, port, one)
        made.becomes(1, "lbkit_vip_state", vip="FOUR", state="whole")
        made.becomes(1, "lbkit_vip_state", vip="SEVEN", state="whole")
        yield made


def test_of_both_layers_it_tells_what_happens_to_a_real_server(scene):
    scene.becomes(1, "lbkit_server_health", vip="SEVEN", server="one", health="up")
    assert scene.value("lbkit_vip_servers_up", vip="FOUR") == 2
    scene.one.die()
    for label in ("FOUR", "SEVEN"):
        scene.becomes(1, "lbkit_server_health", vip=label, server="one", health="down")
        scene.becomes(1, "lbkit_vip_state", vip=label, state="degraded")
        assert scene.value("lbkit_vip_servers_up", vip=label) == 1
        assert scene.value("lbkit_server_effective_weight", vip=label, server="one") == 0
    failed = {"vip": "FOUR", "server": "one", "reason": "refused"}
    before = scene.value("lbkit_check_failures_total", **failed)
    assert before >= 2
    eventually(lambda: scene.value("lbkit_check_failures_total", **failed) > before)
    assert scene.value("lbkit_check_failures_total", vip="FOUR", server="two", reason="refused") is None
    target = {"vip": "FOUR", "server": "one", "check": "connect", "target": f"{HOST}:{scene.one.port}"}
    assert scene.value("lbkit_check_up", **target) == 0
    assert scene.value("lbkit_check_failure", step="connect", reason="refused", **target) == 1
    scene.becomes(2, "lbkit_events_total", kind="server-down")


def test_it_tells_who_is_connected_who_is_kept_and_what_operators_asked_for(scene):
    with scene.site.connect("SEVEN") as client:
        assert client.recv(64) == b"one\n"
        scene.becomes(1, "lbkit_server_connections", vip="SEVEN", server="one")
        scene.becomes(1, "lbkit_vip_connections", vip="SEVEN")
        scene.becomes(1, "lbkit_table_entries", vip="SEVEN")
    asked = time.time()
    drain(scene.site.site, scene.site.asked("SEVEN", "one"))
    scene.becomes(1, "lbkit_server_intent", vip="SEVEN", server="one", intent="drain")
    scene.becomes(0, "lbkit_server_effective_weight", vip="SEVEN", server="one")
    scene.becomes(0, "lbkit_drift", vip="SEVEN")
    assert asked <= scene.value("lbkit_intent_timestamp_seconds", vip="SEVEN", server="one") <= time.time()
    assert scene.value("lbkit_server_health", vip="SEVEN", server="one", health="up") == 1


def test_what_somebody_changes_in_haproxy_by_hand_is_drift(scene):
    scene.becomes(0, "lbkit_drift", vip="SEVEN")
    scene.site.haproxy.runtime.set_weight("SEVEN", "two", 7)
    scene.becomes(1, "lbkit_drift", vip="SEVEN")


def test_of_the_agent_itself_it_tells_how_it_is(scene, throwaway_ca):
    assert 0 <= scene.value("lbkit_agent_lag_seconds") < 5
    assert 0 < scene.value("lbkit_reconcile_duration_seconds") < 5
    assert scene.value("lbkit_agent_trouble") == 0
    (own,) = read_certificates(throwaway_ca.client.cert_file)[:1]
    ends = own.not_after.timestamp()
    scene.becomes(ends, "lbkit_certificate_expiry_timestamp_seconds", kind="certificate", name="own")


# --- Prometheus ---


def prometheus_program(name: str) -> str:
    """Its package is large (332 MB with all that it wants), so that no machine must have it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(reason=f"{name} is not installed (Debian package prometheus)")
    return found


def promtool(*words: str | Path, text: str | None = None, folder: Path | None = None) -> None:
    """It finds nothing wrong, and has nothing to remark."""
    ran = subprocess.run(
        [prometheus_program("promtool"), *words], input=text, capture_output=True, text=True, timeout=60, cwd=folder
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr


def test_promtool_has_nothing_against_the_metrics(tmp_path):
    promtool("check", "metrics", text="".join(page(everything(tmp_path))))


def test_promtool_has_nothing_against_the_alert_rules():
    promtool("check", "rules", "lbkit.rules.yml", folder=PACKAGING)


def test_the_alert_rules_say_what_their_test_wants():
    ran = subprocess.run(
        [prometheus_program("promtool"), "test", "rules", "lbkit.rules.test.yml"],
        capture_output=True, text=True, timeout=60, cwd=PACKAGING,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def ask(scene: Scene, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """A Prometheus that scrapes the agent and has the rules; asks it at a path of its API."""
    (tmp_path / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 250ms, evaluation_interval: 250ms}}\n"
        f"rule_files: [{PACKAGING / 'lbkit.rules.yml'}]\n"
        f"scrape_configs: [{{job_name: lbkit, static_configs: [{{targets: ['{HOST}:{scene.port}']}}]}}]\n"
    )
    port = own_port()
    command = [
        prometheus_program("prometheus"), "--config.file=prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={HOST}:{port}", "--log.level=warn",
    ]  # fmt: skip

    def made(path: str) -> Any:
        asking = http.client.HTTPConnection(HOST, port, timeout=10)
        try:
            asking.request("GET", f"/api/v1/{path}")
            answer = asking.getresponse()
            return json.loads(answer.read())["data"] if answer.status == 200 else None  # 503: it begins
        finally:
            asking.close()

    with serving(port, *command, folder=tmp_path):
        yield made


def test_prometheus_reads_it_and_its_rules_can_be_evaluated(scene, ask):
    def found(query: str) -> list[dict[str, str]]:
        return [one["metric"] for one in (ask(f"query?query={query}") or {"result": []})["result"]]

    eventually(lambda: found("up%3D%3D1"))
    eventually(lambda: len(found("lbkit_vip_state%7Bstate%3D%22whole%22%7D%3D%3D1")) == 2)
    (target,) = ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    eventually(lambda: all(one["health"] == "ok" for one in rules(ask)))
    assert {one["metric"] for one in ask("targets/metadata")} <= {metric.name for metric in METRICS}
    scene.one.die()
    alerts = "ALERTS%7Balertname%3D%22Lbkit{}%22%7D"
    eventually(lambda: {one.get("vip") for one in found(alerts.format("VipDegraded"))} == {"FOUR", "SEVEN"})
    process.stop(scene.site.haproxy)
    eventually(lambda: found(alerts.format("EngineSilent")))


def rules(ask: Callable[[str], Any]) -> list[dict[str, Any]]:
    found = [one for group in ask("rules")["groups"] for one in group["rules"]]
    assert len(found) > 10
    return found
