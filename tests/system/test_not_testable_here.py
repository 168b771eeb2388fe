"""A layer-4 VIP from the balancer that holds it, and from elsewhere: two network namespaces of one node each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LBKIT = Path(sys.executable).parent / "lbkit"
VIP = "192.0.2.10"
SITE = f"""
name = "test"
[[vips]]
label = "DICOM"
address = "{VIP}"
ports = [104]
mode = "l4-dr"
check = {{ kind = "connect", timeout = "500ms" }}
servers = [{{ label = "a", address = "192.0.2.11" }}]
"""


def in_a_namespace(*set_up: str, site: Path) -> dict[str, str]:
    """The verdict on the VIP itself, in a network namespace of its own that these commands set up."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if subprocess.run(
        [*unshare, "ip", "link", "add", "lan", "type", "bridge"], capture_output=True, check=False
    ).returncode:
        pytest.skip(reason="this machine lets nobody make a network namespace with an interface (unshare --net, ip)")
    script = " && ".join([*set_up, f"exec {LBKIT} check site --site {site} --vip-only --json"])
    ran = subprocess.run([*unshare, "sh", "-c", script], capture_output=True, text=True, timeout=30, check=False)
    (found,) = json.loads(ran.stdout)["checks"]
    return found


LAN = ("ip link add lan type bridge", "ip link set lan up")


@pytest.mark.parametrize("interface", ["lan", "lo"], ids=["active", "passive"])
def test_the_node_that_holds_the_vip_says_not_testable_here(tmp_path, interface):
    (tmp_path / "site.toml").write_text(SITE)
    hold = (f"ip link set {interface} up", f"ip addr add {VIP}/32 dev {interface}")
    found = in_a_namespace(*LAN, *hold, site=tmp_path / "site.toml")
    assert (found["status"], found["reason"]) == ("not-testable", "not-testable-here")


def test_a_client_on_the_same_network_checks_it(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    found = in_a_namespace(*LAN, "ip addr add 192.0.2.99/24 dev lan", site=tmp_path / "site.toml")
    assert (found["status"], found["step"]) == ("down", "connect")  # nobody answers in this namespace
