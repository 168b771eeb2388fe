"""`lbkit doctor` and `lbkit agent --status`: whether anybody is told, and whose fault it is where nobody is."""

from __future__ import annotations

from pathlib import Path

from interop.agents import eventually, running
from interop.operated import own_port
from interop.snmp_node import snmpd
from interop.test_alert_command import Node

from lbkit.state.events import Event
from lbkit.state.log import record
from lbkit_cli.doctor import Finding, _of_site


def looked_at(site: Path) -> dict[str, Finding]:
    return {one.name: one for one in _of_site(str(site))}


def test_an_agent_that_does_not_run_is_told_once_and_is_no_fault_of_snmpd(tmp_path: Path) -> None:
    with snmpd(tmp_path) as node:
        found = looked_at(node.agent.site)
        assert found["agent of the site"].state == "absent"
        assert found["snmpd of the site"].state == "ok", found


def test_a_layer_7_site_that_alerts_wants_an_agent_and_its_receivers_are_looked_at(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.mail_port = own_port()  # nobody is there
    (tmp_path / "webhook.secret").write_bytes(b"key")
    hook = {"url": f"http://127.0.0.1:{own_port()}", "secret_file": "webhook.secret"}
    node.write_site(webhook=hook)
    assert looked_at(node.site)["agent of the site"].state == "absent"
    with running(node):
        assert "events go to mail, webhook\n" in node.status().stdout
        record(Event("test", "a test"), state=node.state_folder)
        eventually(lambda: "receiver mail: " in looked_at(node.site)["agent of the site"].found)
        assert looked_at(node.site)["agent of the site"].state == "wrong"
