"""A load balancer installed by packaging/README.md under systemd: `python3 installed_node.py SITE-PACKAGES DEPENDENCIES`

Run by root in the kernel that ipvs_kernel.py boots, with the system's Python and nothing but its library. On stdout: what
each step said, a JSON object of lists [exit code, output].
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HOME = Path("/opt/lbkit")
PACKAGING = Path(__file__).parent.parent.parent / "packaging"
PORT, DICOM_PORT = 8080, 104
SERVERS = ("10.9.0.61", "10.9.0.62")
ADDRESSES = ("10.9.0.1/24", "10.9.0.50/32", "10.9.0.51/32")
COMMUNITY = "aCommunity"  # the passphrases too
LABELS = "-Oqv 127.0.0.1 .1.3.6.1.4.1.8072.9999.9999.7779.1.2.1.2"
SITE = Path(__file__).with_suffix(".toml")
SERVER = """
import socket, sys, time
listening = [socket.create_server((sys.argv[1], int(port))) for port in sys.argv[2:]]
time.sleep(3600)
"""
ASKS_FOR_MORE = "from lbkit.state.agent import Agent; Agent('/run/lbkit/snmp/agent.sock').reload()"
said: dict[str, list[object]] = {}


def do(step: str, command: str) -> str:
    """By /bin/sh, in packaging/, as the README says it; stops at nothing, for the tests are to say what is wrong."""
    done = subprocess.run(["/bin/sh", "-c", command], cwd=PACKAGING, capture_output=True, text=True, timeout=90)
    said[step] = [done.returncode, done.stdout + done.stderr]
    return done.stdout


def until(step: str, command: str, holds: str, within: float = 30.0) -> None:
    """Asked again and again until its output holds that text."""
    deadline = time.monotonic() + within
    while holds not in do(step, command) and time.monotonic() < deadline:
        time.sleep(0.3)


def readme(title: str) -> list[str]:
    """The commands of one of its sections."""
    section = (PACKAGING / "README.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (.+)$", section, re.MULTILINE)


def install_lbkit(ours: str, dependencies: str) -> None:
    """Into a virtual environment of its own, as the unit's comment has it."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", HOME], check=True)
    (packages,) = HOME.glob("lib/*/site-packages")
    subprocess.run(["cp", "-a", "-T", ours, packages], check=True)
    packages.chmod(0o755)
    (HOME / "others").mkdir()
    subprocess.run(["mount", "--bind", dependencies, HOME / "others"], check=True)
    (packages / "others.pth").write_text(f"{HOME}/others\n")
    command = HOME / "bin" / "lbkit"
    command.write_text(f"#!{HOME}/bin/python3\nfrom lbkit_cli.main import main\nmain()\n")
    command.chmod(0o755)
    Path("/usr/bin/lbkit").symlink_to(command)


def make_network() -> None:
    """This balancer, and its two real servers behind a cable."""
    for words in (
        "link set lo up",
        "netns add servers",
        "link add eth0 type veth peer name eth0 netns servers",
        *(f"addr add {address} dev eth0" for address in ADDRESSES),
        "link set eth0 up",
        *(f"-n servers addr add {address}/24 dev eth0" for address in SERVERS),
        "-n servers link set eth0 up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    for number, address in enumerate(SERVERS, 1):
        for port in (PORT, DICOM_PORT):
            unit = ("systemd-run", "--quiet", f"--unit=server{number}-{port}", "ip", "netns", "exec", "servers")
            subprocess.run([*unit, "/usr/bin/python3", "-c", SERVER, address, str(port)], check=True)


def write_site() -> None:
    folder = Path("/etc/lbkit")
    folder.mkdir(exist_ok=True)
    shutil.copy(SITE, folder / "site.toml")
    (folder / "snmp.community").write_text(f"{COMMUNITY}\n")
    shutil.chown(folder / "snmp.community", group="lbkit")
    (folder / "snmp.community").chmod(0o640)


def main() -> None:
    install_lbkit(*sys.argv[1:])
    make_network()
    do("once", "set -ex\n" + "\n".join(readme("Once on each node")[:-1]))  # the last is for a pair
    write_site()
    do("snmpd may ask", next(line for line in readme("SNMP") if "tmpfiles" in line))
    for line in readme("One load balancer"):
        do(line, line)
    do("doors of the agent", "stat -c '%A %U %G %n' /run/lbkit /run/lbkit/*")
    do("an operator", "useradd -M -G lbkit,haproxy anna")
    until("metrics", "curl -s 127.0.0.1:7780/metrics", '{vip="WEB",server="WEB_2",health="up"} 1')
    do("snmpd asks for more", f'runuser -u Debian-snmp -- {HOME}/bin/python3 -c "{ASKS_FOR_MORE}"')
    do("read by SNMPv2c", f"snmpwalk -v2c -c {COMMUNITY} {LABELS}")
    do("snmpd reloads", "systemctl reload snmpd && sleep 1")
    do(
        "read by SNMPv3",
        f"snmpwalk -v3 -l authPriv -u monitor -a SHA-256 -A {COMMUNITY} -x AES -X {COMMUNITY} {LABELS}",
    )
    do("an operator drains", "runuser -u anna -- lbkit drain WEB WEB_1 --reason updates")
    do("server dies", f"systemctl stop server1-{DICOM_PORT}")
    until("death in the journal", "journalctl -o json LBKIT_KIND=server-down", "DICOM_1")
    do("audit in the journal", "journalctl -o json LBKIT_KIND=intent-set")
    do("table", "ipvsadm -Ln")
    do("agent is killed", "systemctl kill -s KILL lbkit-agent && ipvsadm -Ln")
    until("agent is back", "systemctl show -p NRestarts -p ActiveState lbkit-agent", "ActiveState=active")
    do("table with the agent", "ipvsadm -Ln")
    do("reload", "systemctl reload lbkit-agent && systemctl is-active lbkit-agent")
    do("stop", "systemctl stop lbkit-agent; systemctl show -p Result -p ActiveState lbkit-agent")
    do("failed units", "systemctl --failed --plain --no-legend")
    do("agent's log", "journalctl -o cat -u lbkit-agent")
    print(json.dumps(said))


if __name__ == "__main__":
    main()
