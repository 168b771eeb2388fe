"""`lbkit alert test` as it is typed, with the agent as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import command
import pytest
from aiosmtpd.controller import Controller
from interop.agents import PATIENCE, AgentProcess, eventually, running
from interop.hook import Hook
from interop.operated import own_port
from interop.snmp_node import table
from interop.test_snmp_traps import snmptrapd
from unit.site_text import server, site, vip

from lbkit.state.log import EventLog

LBKIT = str(Path(sys.executable).with_name("lbkit"))


class Node(AgentProcess):
    """Its site tells of events by mail and to a webhook."""

    mail_port = 0

    @property
    def command(self) -> list[str]:
        return [LBKIT, "agent", "--site", str(self.site)]

    def start(self, *flags: str, **environment: str) -> None:
        super().start(*flags, LBKIT_STATE=str(self.state_folder), **environment)

    def write_site(self, snmp: dict[str, Any] | None = None, **receivers: dict[str, str]) -> None:
        alerts = {"sender": "lb@example.org", "to": ["a@example.org"], "smart_host": "127.0.0.1"}
        more = {"alerts": {**alerts, "smart_host_port": self.mail_port, "receivers": receivers}} if receivers else {}
        more |= {"snmp": snmp} if snmp else {}
        agent = {"socket": str(self.socket), "check_port": own_port()}
        runtime = {"runtime": str(self.folder), "master_socket": str(self.folder / "master.sock")}
        one = vip("A", "192.0.2.1:80", server("a", "127.0.0.1:80"))
        self.site.write_text(site(one, agent=agent, haproxy=runtime, **more))

    def alert_test(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("alert", "test", "--site", str(self.site), *words)

    def status(self) -> subprocess.CompletedProcess[str]:
        return self._run("agent", "--status", "--site", str(self.site))

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return command.lbkit(*words, timeout=PATIENCE + 15, environment={"LBKIT_STATE": str(self.state_folder)})


@pytest.fixture
def hook():
    with Hook() as one:
        yield one


@pytest.fixture
def mails():
    """The port of a mail server, and the mails that it took."""

    taken = []

    class Box:
        async def handle_DATA(self, server, session, envelope):  # noqa: N802
            taken.append(envelope.content.decode())
            return "250 OK"

    controller = Controller(Box(), hostname="127.0.0.1", port=own_port())
    controller.start()
    yield controller.port, taken
    controller.stop()


@pytest.fixture
def node(tmp_path, hook):
    (tmp_path / "webhook.secret").write_bytes(b"key")
    (tmp_path / "webhook.secret").chmod(0o600)
    made = Node(tmp_path)
    made.mail_port = own_port()  # nobody is there
    made.write_site(webhook={"url": hook.url, "secret_file": "webhook.secret"})
    return made


def of(ran, receiver):
    """What `--json` says of one receiver."""
    (found,) = [one for one in json.loads(ran.stdout)["receivers"] if one["receiver"] == receiver]
    return found


def test_it_says_of_each_receiver_that_it_has_the_event(node, hook, mails):
    node.mail_port, taken = mails
    node.write_site(webhook={"url": hook.url, "secret_file": "webhook.secret"})
    with running(node):
        told = node.alert_test("--json")
        assert told.returncode == 0, told.stdout
        assert json.loads(told.stdout)["receivers"] == [
            {"receiver": "mail", "taken": True, "trouble": "", "to": f"a@example.org, by 127.0.0.1:{node.mail_port}"},
            {"receiver": "webhook", "taken": True, "trouble": "", "to": ""},
        ]
        said = f"mail: has taken it, for a@example.org, by 127.0.0.1:{node.mail_port}\nwebhook: has taken it\n"
        assert node.alert_test().stdout == said
    assert ["test" in mail for mail in taken] == [True, True]
    event, _ = [one for one in EventLog(node.state_folder).all() if one.kind == "test"]
    assert event.ident == json.loads(told.stdout)["ident"]
    assert event.who
    assert event.ident in [headers["X-Lbkit-Delivery"] for _, headers, _ in hook.got]


def test_traps_and_informs_come_to_those_who_manage_by_snmp(node, tmp_path):
    with ExitStack() as stack:
        managers = [stack.enter_context(snmptrapd(folder_of(tmp_path, version))) for version in ("v2c", "v3")]
        traps = [{"address": "127.0.0.1", "port": manager.port, "version": manager.folder.name} for manager in managers]
        node.write_site(snmp=table(tmp_path, traps=traps))
        stack.enter_context(running(node))
        told = node.alert_test("--json")
        assert told.returncode == 0, told.stdout
        for manager, kind in zip(managers, ("TRAP2", "INFORM"), strict=True):
            (said,) = eventually(lambda manager=manager: manager.heard)
            assert f"heard {kind}" in said
            assert "lbkitEventKind.0 test" in said


def folder_of(above: Path, name: str) -> Path:
    (above / name).mkdir()
    return above / name


def test_a_mail_that_waits_for_its_server_is_said(node, hook):
    with running(node):
        told = node.alert_test("--json")
        assert told.returncode == 2
        assert of(told, "webhook")["taken"]
        mail = of(told, "mail")
        assert mail["taken"]
        assert "can't be sent yet" in mail["trouble"]


def test_it_says_what_keeps_a_receiver_from_it(node, hook):
    hook.answers = [500] * 100
    with running(node):
        told = node.alert_test("--timeout", "2s")
        assert told.returncode == 2
        (said,) = [line for line in told.stdout.splitlines() if line.startswith("webhook")]
        assert said.startswith("webhook: has NOT taken it: 127.0.0.1:")
        assert "HTTP status 500" in said
        status = node.status()
        assert status.returncode == 1
        assert [line for line in status.stdout.splitlines() if line.startswith("receiver webhook: 127.0.0.1:")]


def test_a_receiver_that_the_agent_has_not_read_of_is_said(node, hook):
    node.write_site()
    with running(node):
        node.write_site(webhook={"url": hook.url, "secret_file": "webhook.secret"})
        told = node.alert_test("--timeout", "1s", "--json")
        assert told.returncode == 2
        assert "systemctl reload lbkit-agent" in of(told, "webhook")["trouble"]


def test_an_agent_that_observes_tells_nobody(node):
    with running(node, "--observe"):
        told = node.alert_test()
        assert (told.returncode, told.stdout) == (2, "")
        assert "the agent only observes" in told.stderr


def test_without_an_agent_nothing_is_recorded(node):
    told = node.alert_test()
    assert (told.returncode, told.stdout) == (2, "")
    assert f"no agent answers at {node.socket}" in told.stderr
    assert list(EventLog(node.state_folder).all()) == []


def test_a_site_that_tells_nobody_is_misuse(node):
    node.write_site()
    told = node.alert_test()
    assert (told.returncode, told.stdout) == (3, "")
    assert "there is no [alerts], and no traps in [snmp]" in told.stderr


def test_what_is_wrong_with_alerts_is_said_with_its_line(node):
    node.write_site(webhook={"url": "ftp://example.org"})
    told = node.alert_test()
    assert (told.returncode, told.stdout) == (3, "")
    line = node.site.read_text().splitlines().index('url = "ftp://example.org"') + 1
    assert f"{node.site}:{line}: error: alerts.receivers.webhook.url: webhook: url: this is no URL" in told.stderr
