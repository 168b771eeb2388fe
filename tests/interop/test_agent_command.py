"""`lbkit agent` as it is typed, on a machine whose kernel may have no IPVS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from interop.agents import PATIENCE, AgentProcess, eventually, l4, running
from unit.remotes import silent
from unit.site_text import server

LBKIT = str(Path(sys.executable).with_name("lbkit"))


class CommandLine(AgentProcess):
    @property
    def command(self) -> list[str]:
        return [LBKIT, "agent", "--site", str(self.site)]

    def start(self, *flags: str, **environment: str) -> None:
        super().start(*flags, LBKIT_STATE=str(self.state_folder), **environment)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"LBKIT_STATE": str(self.state_folder)}
        return subprocess.run(
            [*self.command, *words], capture_output=True, text=True, timeout=PATIENCE, check=False, env=env
        )


@pytest.fixture
def agent(listener, tmp_path):
    made = CommandLine(tmp_path)
    made.write(l4("A", "10.0.0.1:104", server("s1", listener(silent).target)))
    return made


def test_its_status_is_told_with_an_exit_code(agent):
    absent = agent.run("--status")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert absent.stderr.startswith(f"lbkit: no agent answers at {agent.socket}")
    assert json.loads(agent.run("--status", "--json").stdout)["running"] is False
    with running(agent, "--observe"):
        eventually(lambda: agent.health("A/s1") == "up")
        told = agent.run("--status")
        assert told.returncode == 0, told.stdout
        first, second, third = told.stdout.splitlines()
        assert first == f"the agent (pid {agent.process.pid}) observes for site test ({agent.site})"
        assert second.startswith("1 checks; its loop is at most ")
        assert third.startswith("A/s1 up, ")
        document = json.loads(agent.run("--status", "--json").stdout)
        assert (document["running"], document["vips"]["A"]["servers"]["s1"]["health"]) == (True, "up")
        refused = agent.run()
        assert (refused.returncode, refused.stdout) == (3, "")
        assert refused.stderr.endswith("Stop it first, or give this one another socket.\n")
        assert agent.stop() == 0


@pytest.mark.skipif(Path("/proc/net/ip_vs").exists(), reason="this kernel has IPVS")
def test_without_ipvs_there_is_trouble_and_the_checks_go_on(agent):
    with running(agent):
        eventually(lambda: agent.health("A/s1") == "up")
        told = agent.run("--status")
        assert told.returncode == 1
        assert told.stdout.splitlines()[-1].startswith("trouble: this kernel has no IPVS")


def test_under_systemd_each_line_has_its_priority_and_no_time(agent):
    agent.start("--observe", JOURNAL_STREAM="8:1")
    eventually(lambda: agent.health("A/s1") == "up")
    assert agent.stop() == 0
    assert "<6>A/s1 is up: takes connections\n" in agent.log
    assert all(line.startswith("<") for line in agent.log.splitlines())


def test_a_broken_site_ends_it_at_once(agent):
    agent.site.write_text("vips = 7\n")
    found = agent.run()
    assert (found.returncode, found.stdout) == (3, "")
    assert str(agent.site) in found.stderr
    assert "Traceback" not in found.stderr


def test_its_end_waits_for_no_thread_of_a_plugin(agent):
    plugin = agent.folder / "lbkit_stays-1.0.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: lbkit-stays\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text("[lbkit.receivers]\nstays = lbkit_stays\n")
    begun = agent.folder / "begun"
    code = "import pathlib, time, concurrent.futures as f\nf.ThreadPoolExecutor().submit(time.sleep, 60)\n"
    (agent.folder / "lbkit_stays.py").write_text(f"{code}pathlib.Path({str(begun)!r}).touch()\n")
    more = {"sender": "lb@example.org", "to": ["a@example.org"], "receivers": {"stays": {}}}
    agent.site.write_text(agent.site.read_text() + tomlkit.dumps({"alerts": more}))
    agent.start(PYTHONPATH=str(agent.folder))
    eventually(begun.exists)
    assert agent.stop() == 0


@pytest.mark.parametrize(
    "words", [("--json",), ("--status", "--observe"), ("--status", "--flush-on-exit"), ("--observe", "--flush-on-exit")]
)
def test_options_that_contradict_each_other_are_misuse(words, agent):
    assert agent.run(*words).returncode == 3
