"""An upgrade of lbkit as docs/pair.md has it, the standby first: for a while the nodes have two versions."""

from __future__ import annotations

import json
import signal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from interop.agents import eventually
from system.pair.cluster import LAST, PLAIN, Cluster
from system.pair.nodes import Node
from system.pair.traffic import probing, sessions

NEW = "99.1"
_PATIENCE = 0.9  # seconds: the machine may be busy; a packet that is lost comes again after one


def _upgrade(pair: Cluster, node: Node) -> None:
    """What pip says of it is of another version from now on. The rest is this lbkit: there is no other that knows a pair."""
    (file,) = (one for one in distribution("lbkit-core").files or () if one.name == "METADATA")
    real = Path(str(file.locate()))
    version = distribution("lbkit-core").version
    node.file("/run/METADATA").write_text(real.read_text().replace(f"\nVersion: {version}\n", f"\nVersion: {NEW}\n"))
    node.run(["mount", "--bind", "/run/METADATA", str(real)])
    node.kill("agent", signal.SIGTERM)
    eventually(lambda: not node.pids("agent"), 40)
    pair.start_node(node)


def _status(node: Node) -> tuple[int, dict[str, Any]]:
    ran = node.run("lbkit pair status --json", check=False)
    found: dict[str, Any] = json.loads(ran.stdout)
    return ran.returncode, found


def test_clients_notice_nothing_and_operators_are_told(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    with probing(pair.lan.client, *PLAIN, timeout=_PATIENCE) as probe, sessions(pair.lan.client, *LAST, 50) as live:
        old.run(f"lbkit pair maintenance on {new.name}")
        _upgrade(pair, new)
        eventually(lambda: "maintenance" in _why_not(pair, new), 40)  # over the agent's restart
        old.run(f"lbkit pair maintenance off {new.name}")
        pair.settled(old)
        eventually(lambda: _only_versions_differ(new), 40)
        refused = old.run("lbkit pair sync", check=False)
        assert (refused.returncode, f"here is lbkit {NEW}" in refused.stderr) == (3, True), refused.stderr
        for verb in ("drain", "online"):  # the verbs go on between the two
            assert old.run(f"lbkit {verb} PLAIN rs1").returncode == 0
        old.run(f"lbkit failover --to {new.name}")
        pair.settled(new)
        _upgrade(pair, old)
        pair.settled(new)
        eventually(lambda: _status(new)[0] == 0, 40)
        assert "nothing differs" in new.run("lbkit pair sync").stdout
    assert probe.failed == 0, probe.reasons
    assert (live.opened, live.broken, live.hung) == (50, 0, 0)


def _why_not(pair: Cluster, node: Node) -> str:
    """Why it can't serve, as its agent says."""
    said = pair.agent(node)
    return said.pair.why_not if said and said.pair else ""


def _only_versions_differ(node: Node) -> bool:
    code, said = _status(node)
    what = [one["what"] for one in said["findings"]]
    return code == 1 and len(what) == 1 and NEW in what[0]
