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

from lbkit.haproxy.transparent import SH_NAME
from lbkit.ipvs.wanted import SCHEDULERS
from lbkit.pair import settings
from lbkit.pair.second_chance import SYSCTLS
from lbkit.site.model import AgentSettings, Site

PACKAGING = Path(__file__).parent.parent.parent / "packaging"
UNIT = PACKAGING / "systemd" / "lbkit-agent.service"
KEEPALIVED = PACKAGING / "systemd" / "keepalived.service.d" / "lbkit.conf"
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


@pytest.mark.parametrize("name", ["lbkit-firewall.service", "lbkit-transparent.service"])
def test_systemd_finds_nothing_wrong_with_what_runs_at_boot(name):
    assert name not in ran(program("systemd-analyze", "systemd"), "verify", UNIT.with_name(name))


def test_what_runs_at_boot_is_what_apply_writes():
    defaults = Site.model_fields["haproxy"].default_factory(), Site.model_fields["firewall"].default_factory()
    transparent = UNIT.with_name("lbkit-transparent.service").read_text()
    assert f"ExecStart=/bin/sh {defaults[0].folder}/{SH_NAME}\n" in transparent
    assert f"ExecStart=/usr/sbin/nft -f {defaults[1].file}\n" in UNIT.with_name("lbkit-firewall.service").read_text()


@pytest.fixture
def keepalived(tmp_path) -> Path:
    """The distribution's unit with what is added to it."""
    program("keepalived", "keepalived")
    unit = tmp_path / "keepalived.service"
    unit.write_text(Path("/lib/systemd/system/keepalived.service").read_text())
    (tmp_path / "keepalived.service.d").mkdir()
    (tmp_path / "keepalived.service.d" / "lbkit.conf").write_text(KEEPALIVED.read_text())
    return unit


def test_systemd_finds_nothing_wrong_with_what_keepalived_is_given(keepalived, monkeypatch):
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", f"{keepalived.parent}:")
    said = ran(program("systemd-analyze", "systemd"), "verify", keepalived)
    assert "keepalived" not in said
    added = keepalived.parent / "keepalived.service.d" / "lbkit.conf"
    added.write_text(added.read_text().replace("Restart=always", "Restart=often"))
    assert "keepalived" in ran(program("systemd-analyze", "systemd"), "verify", keepalived)


def test_before_keepalived_starts_a_pid_file_goes_that_names_something_else(tmp_path):
    (command,) = re.findall(r"^ExecStartPre=/bin/sh -c '(.*)'$", KEEPALIVED.read_text(), re.MULTILINE)
    command = command.replace("$$", "$").replace("/run/", f"{tmp_path}/").replace("/proc/", f"{tmp_path}/proc/")
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "comm").write_text("keepalived\n")
    (tmp_path / "proc" / "8").mkdir()
    (tmp_path / "proc" / "8" / "comm").write_text("bash\n")
    for name, pid in (("keepalived", 7), ("vrrp", 8), ("checkers", 9)):
        (tmp_path / f"{name}.pid").write_text(f"{pid}\n")
    ran("/bin/sh", "-c", command)
    assert [file.name for file in tmp_path.glob("*.pid")] == ["keepalived.pid"]
    ran("/bin/sh", "-c", command)


def test_sysctl_sets_what_apply_sets():
    lines = (PACKAGING / "sysctl.d" / "lbkit.conf").read_text().splitlines()
    named = dict(line.removeprefix("-").split(" = ") for line in lines if not line.startswith("#"))
    of_interfaces = {f"net.ipv4.conf.all.{name}": value for name, value in SYSCTLS.items()}
    assert named == {settings.name(path): "1" for path in settings.NONLOCAL.values()} | of_interfaces


def test_when_the_agent_has_ended_in_whatever_way_this_node_is_no_longer_at_fault(tmp_path):
    (command,) = re.findall(r"^ExecStopPost=-/bin/sh -c '(.*)'$", UNIT.read_text(), re.MULTILINE)
    fault = tmp_path / Site.model_fields["keepalived"].default_factory().runtime.lstrip("/") / "fault"
    fault.parent.mkdir(parents=True)
    command = command.replace("/run/", f"{tmp_path}/run/")
    ran("/bin/sh", "-c", command)
    assert not fault.exists()
    fault.write_text("1\n")
    ran("/bin/sh", "-c", command)
    assert fault.read_text() == "0\n"


def test_systemd_would_find_what_is_wrong(unit):
    unit.write_text(unit.read_text().replace("WatchdogSec=30", "WatchdogSec=often"))
    assert unit.name in ran(program("systemd-analyze", "systemd"), "verify", unit)


def test_the_agent_is_exposed_no_more_than_it_has_to_be(unit):
    analyze = program("systemd-analyze", "systemd")
    threshold = f"--threshold={EXPOSED_AT_MOST}"
    found = json.loads(ran(analyze, "security", "--offline=true", threshold, "--json=short", unit))
    capabilities = {one["json_field"] for one in found if "CAP_" in one["name"] and one["exposure"]}
    assert capabilities == {
        "CapabilityBoundingSet_CAP_KILL",
        "CapabilityBoundingSet_CAP_NET_ADMIN",
        "CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW)",
    }


def test_the_agent_may_set_what_ipvs_needs_and_write_where_intents_are():
    service = section("Service")
    assert "ProtectKernelTunables" not in service
    assert "ProtectProc" not in service  # keepalived's state is read there
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
    vrrp = root / "run" / "lbkit" / "vrrp"
    fifo = (vrrp / "fifo").stat()
    assert (fifo.st_uid, stat.S_IFMT(fifo.st_mode), stat.S_IMODE(fifo.st_mode)) == (
        int(account[2]),
        stat.S_IFIFO,
        0o600,
    )
    assert ((vrrp / "servers_down").read_text().strip(), (vrrp / "servers_down").stat().st_uid) == (
        "1",
        int(account[2]),
    )


def test_the_modules_of_every_scheduler_are_loaded():
    lines = (PACKAGING / "modules-load.d" / "lbkit.conf").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {
        "ip_vs",
        *(f"ip_vs_{one}" for one in SCHEDULERS.values()),
    }


def test_the_readme_installs_every_file():
    named = re.findall(r"[\w.-]+/lbkit[\w.-]+", (PACKAGING / "README.md").read_text())
    there = [f"{file.parent.name}/{file.name}" for file in PACKAGING.rglob("lbkit*") if file.is_file()]
    assert set(there) <= set(named)
