"""`lbkit doctor`: is this machine ready? Python, our own packages, the plugins, the engines, and a foreign `lbkit`."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lbkit.errors import LbkitError, NotDone, NotRunning
from lbkit_cli.site_option import SiteFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from lbkit.site.model import Site

_PROGRAMS = {  # name: (arguments that print a version, what lbkit needs it for)
    "ipvsadm": (["--version"], "looking at layer-4 VIPs by hand"),
    "keepalived": (["--version"], "the pair"),
    "ssh": (["-V"], "reaching the other node of the pair"),
    "sshd": (["-V"], "letting the other node of the pair in"),
    "nft": (["--version"], "sessions that outlive a failover, the firewall, transparent VIPs"),
    "snmpd": (["-v"], "SNMP"),
    "openssl": (["version"], "looking at certificates by hand"),
}
_LEAST = {"keepalived": (2, 2)}
_TABLE = Path("/proc/net/ip_vs")
_PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on the PATH of everybody who may ask


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `absent` is no fault: not every node needs every engine."""

    name: str
    state: Literal["ok", "absent", "wrong"]
    found: str


def doctor(
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON array of findings.")] = False,
    site: SiteFile = None,
) -> None:
    """Look at this machine: Python, plugins, engines and their versions; whether the site's HAProxy and agent answer.

    On a node of a pair also: which node it is, its keepalived and its kernel, and whether the other node answers.
    Exits with 1 when something is wrong. What is absent is no fault: not every node needs every engine.

    \b
    Example: lbkit doctor
    """
    programs = [_haproxy(), _ipvs(), *_of_site(site), *(_program(name) for name in _PROGRAMS)]
    findings = [_python(), _core(), _foreign(), *_plugins(), *programs]
    if json_:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{finding.state:<7} {finding.name:<22} {finding.found}")
    raise typer.Exit(1 if any(finding.state == "wrong" for finding in findings) else 0)


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding("python", "ok" if good else "wrong", f"{platform.python_version()} at {sys.executable}")


def _core() -> Finding:
    versions = {}
    for name in ("lbkit-core", "lbkit-cli"):
        try:
            versions[name] = distribution(name).version
        except PackageNotFoundError:
            return Finding("lbkit", "wrong", f"{name} is not installed. Install it.")
    if len(set(versions.values())) > 1:
        return Finding("lbkit", "wrong", f"{versions} belong to different releases. Install the same of each.")
    return Finding("lbkit", "ok", versions["lbkit-core"])


def _foreign() -> Finding:
    """An unrelated project of the bare name `lbkit` installs an import package of the same name over ours."""
    import lbkit

    where = Path(lbkit.__file__ or "").parent
    try:
        other = distribution("lbkit")
    except PackageNotFoundError:
        return Finding("foreign lbkit", "ok", f"none; ours is at {where}")
    return Finding(
        "foreign lbkit",
        "wrong",
        f"the unrelated distribution lbkit {other.version} is installed and can overwrite ours at {where}. "
        "Uninstall it, then reinstall lbkit-core.",
    )


def _plugins() -> list[Finding]:
    from lbkit.checks.registry import Registry
    from lbkit.state.receiver_plugins import ReceiverPlugins

    checks = [(f"check {one.name}", one) for one in Registry().plugins()]
    return [
        Finding(name, "wrong", f"{plugin.error}. Reinstall {plugin.distribution}.")
        if plugin.error
        else Finding(name, "ok", f"{plugin.distribution} {plugin.version}")
        for name, plugin in (*checks, *((f"receiver {one.name}", one) for one in ReceiverPlugins().plugins()))
    ]


def _haproxy() -> Finding:
    """The HAProxy that lbkit would check configurations with, and start."""
    from lbkit.haproxy import program

    try:
        found = program.find()
    except LbkitError as e:
        absent = not os.environ.get(program.HAPROXY) and program.installed() is None
        return Finding("haproxy", "absent" if absent else "wrong", f"{e}")
    return Finding("haproxy", "ok", f"{'.'.join(map(str, found.version))} at {found.path}")


def _ipvs() -> Finding:
    """The kernel's own word: the first line of its table (size: places for connections)."""
    try:
        first = _TABLE.read_text().partition("\n")[0]
    except OSError:
        return Finding("ipvs", "absent", "not in this kernel; needed for layer-4 VIPs. As root: modprobe ip_vs")
    return Finding("ipvs", "ok", first.removeprefix("IP Virtual Server "))


def _of_site(given: str | None) -> list[Finding]:
    """Whether the engines and the agent of the site file, where there is one, run and may be asked."""
    from lbkit import load_site
    from lbkit.site.found import site_file
    from lbkit_cli import doctor_pair

    try:
        file = site_file(given)
    except LbkitError:
        return []
    try:
        site = load_site(file)
    except LbkitError as e:
        return [Finding("site", "wrong", f"{e}")]
    modes = {vip.mode for vip in site.vips}
    found = [_asked("haproxy of the site", lambda: _haproxy_of(site))] if "l7-snat" in modes else []
    pair = [_asked(name, look) for name, look in doctor_pair.looks(site)]
    reports = site.alerts or site.snmp or site.metrics
    agent = [_asked("agent of the site", lambda: _agent_of(site))] if "l4-dr" in modes or pair or reports else []
    snmp = [_asked("snmpd of the site", lambda: _snmpd_of(site))] if site.snmp else []
    return [*found, *agent, *pair, *snmp]


def _asked(name: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", ask())
    except NotRunning as e:
        return Finding(name, "absent", f"{e}")
    except LbkitError as e:
        return Finding(name, "wrong", f"{e}")


def _haproxy_of(site: Site) -> str:
    from lbkit.haproxy.engine import Haproxy

    haproxy = Haproxy(site)
    haproxy.master.processes()
    info = haproxy.runtime.info()
    return f"{info['Version']} answers, and runs for {info['Uptime']}"


def _agent_of(site: Site) -> str:
    from lbkit.state.agent import Agent

    agent = Agent(site.agent.socket).state()
    kept = (f"receiver {name}: {wrong}" for name, wrong in agent.receivers.items() if wrong)
    if trouble := " ".join(filter(None, (agent.trouble, *kept))):
        raise NotDone(trouble)
    aside = ", and only observes" if agent.observe else ""
    return f"pid {agent.pid} runs {agent.checks} checks of {agent.site}{aside}; its loop lags {agent.lag * 1000:.0f} ms"


def _snmpd_of(site: Site) -> str:
    from lbkit.snmp.asking import ask
    from lbkit.snmp.keys import Keys

    assert site.snmp is not None  # noqa: S101
    answer = ask(site.snmp, Keys.read(site.snmp))
    if not answer.version:
        raise NotDone("it answers, but not for lbkit: lbkit apply")
    if answer.trouble not in _trouble_of_agent(site):  # that one has a line of its own
        raise NotDone(answer.trouble)
    return f"it answers, with lbkit {answer.version} behind it"


def _trouble_of_agent(site: Site) -> str:
    from lbkit.state.agent import Agent

    try:
        return Agent(site.agent.socket).state().trouble
    except LbkitError as e:
        return f"{e}"


def _program(name: str) -> Finding:
    arguments, purpose = _PROGRAMS[name]
    path = shutil.which(name) or next((p for d in _PLACES if (p := shutil.which(name, path=d))), None)
    if path is None:
        return Finding(name, "absent", f"not installed; needed for {purpose}")
    try:
        ran = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as e:
        return Finding(name, "wrong", f"{path} does not run: {e}")
    said = next(iter((ran.stdout or (ran.stderr if ran.returncode == 0 else "")).strip().splitlines()), path)
    version = re.search(r"(\d+)\.(\d+)", said)
    least = _LEAST.get(name)
    if least and version and tuple(map(int, version.groups())) < least:
        return Finding(name, "wrong", f"{said}: lbkit needs {'.'.join(map(str, least))} or later. Install that.")
    return Finding(name, "ok", said)
