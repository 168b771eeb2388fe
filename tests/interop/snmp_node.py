"""A node with real Net-SNMP on loopback: an agent, snmpd in front of it, and a manager that asks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from interop.agents import AgentProcess, running
from interop.operated import own_port
from interop.remotes import program
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.registry import Registry
from lbkit.operate.apply import Applied, apply
from lbkit.site.model import Site
from lbkit.site.reporting import Snmp
from lbkit.snmp import process

MIBS = f"{Path(__file__).parent / 'mibs'}:{Path(__file__).parents[2] / 'packaging/mibs'}"
COMMUNITY = "p#b[lic]~_*!=-$%?{}@:;^"
NAME = "m#n[]~_*!=-$%?{}@:;^"
AUTHENTICATION = "#auth-[]~_*!=$%?{}@:;^"
PRIVACY = "-priv#[]~_*!=$%?{}@:;^"


def secrets(folder: Path, **contents: str) -> dict[str, str]:
    """Each in a file of its own; where."""
    given = {"community": COMMUNITY, "authentication": AUTHENTICATION, "privacy": PRIVACY, **contents}
    for name, content in given.items():
        (folder / name).write_text(f"{content}\n")
        (folder / name).chmod(0o600)
    return {name: str(folder / name) for name in given}


def table(folder: Path, **more: Any) -> dict[str, Any]:
    """[snmp] with a community and a user."""
    files = secrets(folder)
    user = {"name": NAME, "authentication_file": files["authentication"], "privacy_file": files["privacy"]}
    given = {"v2c": True, "community_file": files["community"], "user": user, "location": "rack #7; top", **more}
    return {name: value for name, value in given.items() if value is not None}


def snmp(folder: Path, **more: Any) -> Snmp:
    """The same, as the site has it."""
    return Snmp.model_validate(tomlkit.parse(tomlkit.dumps(table(folder, **more))).unwrap())


class SnmpNode:
    """All its files are in `folder`. `manager`: how it is asked where a test says nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = own_port()
        self.agent = AgentProcess(folder)
        self.file = folder / "snmpd.conf"
        (folder / "kept/cert_indexes").mkdir(parents=True)  # else the manager says that it makes it

    def write(self, *vips: dict[str, Any], **more: Any) -> Site:
        snmp = table(self.folder, port=self.port, file=str(self.file), **more)
        self.agent.site.write_text(
            site(*vips or (FOUR,), agent={"socket": str(self.agent.socket), "check_port": own_port()}, snmp=snmp)
        )
        return self.site

    @property
    def site(self) -> Site:
        return lbkit.load_site(self.agent.site)

    def apply(self, **more: Any) -> Applied:
        return apply(self.site, Registry().kind, engines=("snmpd",), state=self.agent.state_folder, **more)

    def ask(
        self,
        command: str,
        *what: str,
        by: tuple[str, ...] = ("-v2c", "-c", COMMUNITY),
        at: str = "udp:127.0.0.1",
        within: str = "5",
    ) -> tuple[int, str]:
        """One of Net-SNMP's commands: its exit code, and all that it says. `within`: seconds for an answer."""
        ran = subprocess.run(
            [program(command, "snmp"), *by, "-t", within, "-r", "0", *what[:-1], f"{at}:{self.port}", what[-1]],
            env=os.environ | {"MIBS": "LBKIT-MIB", "MIBDIRS": MIBS, "SNMP_PERSISTENT_DIR": str(self.folder / "kept")},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr


BY_USER = ("-v3", "-l", "authPriv", "-u", NAME, "-a", "SHA-256", "-A", AUTHENTICATION, "-x", "AES", "-X", PRIVACY)
FOUR = vip("FOUR", "192.0.2.1:104,105", server("a", "127.0.0.1:1"), server("b", "192.0.2.12"), mode="l4-dr")


@contextmanager
def snmp_node(folder: Path, *vips: dict[str, Any], **more: Any) -> Iterator[SnmpNode]:
    """Applied; the agent runs."""
    with snmpd(folder, *vips, **more) as node, running(node.agent):
        yield node


@contextmanager
def snmpd(folder: Path, *vips: dict[str, Any], **more: Any) -> Iterator[SnmpNode]:
    """The same without the agent."""
    program("snmpd", "snmpd")
    program("snmpget", "snmp")
    node = SnmpNode(folder)
    node.write(*vips, **more)
    try:
        node.apply()
        yield node
    finally:
        process.stop(node.file)
