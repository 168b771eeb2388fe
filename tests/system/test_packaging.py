"""What packaging/ installs, as systemd's own programs read it."""

from __future__ import annotations

import configparser
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from interop.remotes import program

from lbkit.ipvs.wanted import SCHEDULERS
from lbkit.site.model import AgentSettings

PACKAGING = Path(__file__).parent.parent.parent / "packaging"
UNIT = PACKAGING / "systemd" / "lbkit-agent.service"
EXPOSED_AT_MOST = 25  # tenths, of 100; a unit that hardens nothing has 96


def ran(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def unit(tmp_path) -> Path:
    """With the lbkit that is there."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/usr/bin/lbkit", str(Path(sys.executable).with_name("lbkit"))))
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    return tmp_path / "root"


def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    said = ran(program("systemd-analyze", "systemd"), "verify", unit)
    assert unit.name not in said


def test_systemd_would_find_what_is_wrong(unit):
    unit.write_text(unit.read_text().replace("WatchdogSec=30", "WatchdogSec=often"))
    assert unit.name in ran(program("systemd-analyze", "systemd"), "verify", unit)


def test_the_agent_is_exposed_no_more_than_it_has_to_be(unit):
    analyze = program("systemd-analyze", "systemd")
    threshold = f"--threshold={EXPOSED_AT_MOST}"
    found = json.loads(ran(analyze, "security", "--offline=true", threshold, "--json=short", unit))
    capabilities = {one["json_field"] for one in found if "CAP_" in one["name"] and one["exposure"]}
    assert capabilities == {
        "CapabilityBoundingSet_CAP_NET_ADMIN",
        "CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW)",
    }


def test_the_agent_may_set_what_ipvs_needs_and_write_where_intents_are():
    service = section("Service")
    assert "ProtectKernelTunables" not in service
    assert service["ReadWritePaths"] == "/var/lib/lbkit"
    assert Path("/run", service["RuntimeDirectory"]) == Path(AgentSettings.model_validate({}).socket).parent


def section(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser[name]


def test_user_and_folder_are_made(root):
    if os.geteuid() != 0:
        pytest.skip(reason="needs root: a folder is given to another user")
    ran(program("systemd-sysusers", "systemd"), f"--root={root}", PACKAGING / "sysusers.d" / "lbkit.conf")
    (account,) = [line.split(":") for line in (root / "etc" / "passwd").read_text().splitlines()]
    assert (account[0], account[5], account[6]) == ("lbkit", "/var/lib/lbkit", "/usr/sbin/nologin")
    ran(program("systemd-tmpfiles", "systemd"), f"--root={root}", "--create", PACKAGING / "tmpfiles.d" / "lbkit.conf")
    made = (root / "var" / "lib" / "lbkit").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (0, int(account[3]), 0o2770)


def test_the_modules_of_every_scheduler_are_loaded():
    lines = (PACKAGING / "modules-load.d" / "lbkit.conf").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {
        "ip_vs",
        *(f"ip_vs_{one}" for one in SCHEDULERS.values()),
    }


def test_the_readme_installs_every_file():
    named = re.findall(r"[\w.-]+/lbkit[\w.-]+", (PACKAGING / "README.md").read_text())
    there = [str(file.relative_to(PACKAGING)) for file in PACKAGING.glob("*/*")]
    assert set(there) <= set(named)
