"""What a support bundle is made of: each part with its file in the bundle, and how it is gathered.

What may tell of patients is not among it: no keys of persistence tables, no connection's line of HAProxy's log, and not
`show errors`, which quotes what clients and real servers sent.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias

from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, LbkitError, Misuse
from lbkit.haproxy import program
from lbkit.haproxy.runtime import Runtime
from lbkit.lint import lint
from lbkit.operate import support_facts
from lbkit.operate.commands import LIMIT, output
from lbkit.operate.overview import overview
from lbkit.operate.pair_status import pair_status
from lbkit.operate.receive import Here
from lbkit.site.draft import Draft
from lbkit.site.load import read
from lbkit.site.model import AgentSettings, FirewallSettings, HaproxySettings, KeepalivedSettings, Site
from lbkit.state.agent import Agent
from lbkit.state.applied import Applied
from lbkit.state.intents import Intents
from lbkit.state.log import EventLog

Content: TypeAlias = bytes | str | dict[str, Any] | list[Any]  # the last two as JSON
_ANSWERS_WITHIN = 4.0  # seconds, of HAProxy and the agent
_EVENTS = 20_000  # the last ones, at most
_LINES = 40_000  # of each part of the journal, at most
_SNMPD = "/etc/snmp/snmpd.conf"
_SYSTEM = {
    "system/packages.txt": (
        "dpkg-query",
        "-W",
        "haproxy",
        "keepalived",
        "snmpd",
        "nftables",
        "openssh-server",
        "iproute2",
    ),
    "system/disks.txt": ("df", "-hPl"),
    "network/addresses.txt": ("ip", "addr"),
    "network/links.txt": ("ip", "-s", "link"),
    "network/routes.txt": ("ip", "route", "show", "table", "all"),
    "network/rules.txt": ("ip", "rule"),
    "network/listening.txt": ("ss", "-tulnp"),
    "network/nftables.txt": (
        "nft",
        "--terse",
        "list",
        "ruleset",
    ),  # terse: without the elements of sets, such as clients
}
_FILES = {"system/memory.txt": "/proc/meminfo", "system/load.txt": "/proc/loadavg", "system/os.txt": "/etc/os-release"}


@dataclass(frozen=True, slots=True)
class Part:
    """`name`: its file in the bundle. `gather` raises LbkitError, with the reason, where it can't."""

    name: str
    gather: Callable[[], Content]


class Node:
    """This node, as far as its site file can be read. `site`: None where that has an error; `draft`: what is right of it."""

    def __init__(self, site_file: Path, registry: Registry, state: Path | None) -> None:
        self.file, self.registry, self.state = site_file, registry, state
        self.site: Site | None = None
        self.draft = Draft()
        try:
            reading = read(site_file, registry.models())
            self.site, self.draft = reading.site, reading.draft
        except LbkitError:  # whoever gathers the site file says it
            pass

    @property
    def haproxy(self) -> HaproxySettings:
        """Where its HAProxy is, or would be by default."""
        return self.draft.haproxy or (self.site.haproxy if self.site else HaproxySettings.model_validate({}))

    def whole(self) -> Site:
        """The site. Raises Misuse where it has errors."""
        if self.site is None:
            raise Misuse(f"{self.file} can't be used as it is: see lint.json, or lint.json.error.")
        return self.site


def parts(node: Node, since: float) -> Iterator[Part]:
    """Those that concern this node; of a site with errors all. `since`: of events and logs, seconds since the epoch."""
    yield from _of_site(node, since)
    yield from _of_engines(node)
    yield Part("versions.json", lambda: support_facts.versions(node.registry))
    for name, command in _SYSTEM.items():
        yield Part(name, partial(output, *command, fine=(0, 1) if command[0] == "dpkg-query" else (0,)))
    for name, path in _FILES.items():
        yield Part(name, partial(_file, Path(path)))
    yield Part("network/neighbours.txt", lambda: _neighbours(node))
    yield from _of_journal(node, since)


def _of_site(node: Node, since: float) -> Iterator[Part]:
    site, agent = node.site, node.draft.agent or (node.site.agent if node.site else AgentSettings.model_validate({}))
    yield Part("site.toml", partial(_file, node.file))
    yield Part("lint.json", lambda: _lint(node))
    yield Part("overview.json", lambda: [one.as_dict() for one in overview(node.whole(), (), node.state)])
    yield Part("agent.json", lambda: Agent(agent.socket, _ANSWERS_WITHIN).state().as_dict())
    yield Part("intents.json", lambda: [one.as_dict() for one in Intents(node.state).last_words()])
    yield Part("applied.json", lambda: Applied.read(node.state).as_dict())
    yield Part("certificates.json", lambda: support_facts.certificates(node.draft))
    yield Part("events.jsonl", lambda: _events(node.state, since))
    if site is None or site.pair:
        yield Part("pair-status.json", lambda: _pair_status(node))


def _of_engines(node: Node) -> Iterator[Part]:
    site, haproxy = node.site, node.haproxy
    modes = {vip.mode for vip in site.vips} if site else {"l7-snat", "l4-dr"}
    if "l7-snat" in modes:
        yield Part("haproxy/haproxy.cfg", partial(_file, Path(haproxy.folder, "haproxy.cfg")))
        yield Part(
            "haproxy/version.txt",
            lambda: output(os.environ.get(program.HAPROXY) or program.installed() or "haproxy", "-vv"),
        )
        for name, command in (
            ("info.txt", "show info"),
            ("statistics.csv", "show stat"),
            ("servers.txt", "show servers state"),
            ("tables.txt", "show table"),  # their heads: names, sizes, how many entries
        ):
            socket = str(Path(haproxy.runtime, "admin.sock"))
            yield Part(f"haproxy/{name}", partial(_asked_haproxy, socket, command))
    if "l4-dr" in modes:
        yield Part("ipvs.txt", _ipvs)
    if site is None or site.pair:
        folder = (site.keepalived if site else KeepalivedSettings.model_validate({})).folder
        yield Part("keepalived.conf", partial(_file, Path(folder, "keepalived.conf")))
    if site is None or site.firewall.enabled:
        firewall = site.firewall if site else FirewallSettings.model_validate({})
        yield Part("firewall.nft", partial(_file, Path(firewall.file)))
    if site is None or site.snmp:
        yield Part("snmpd.conf", partial(_file, Path(node.draft.snmp.file if node.draft.snmp else _SNMPD)))


def _of_journal(node: Node, since: float) -> Iterator[Part]:
    site = node.site
    wanted = {
        "lbkit": ("_SYSTEMD_UNIT=lbkit-agent.service", "+", "UNIT=lbkit-agent.service", "+", "SYSLOG_IDENTIFIER=lbkit"),
        # each connection is a line of level info, with the client's address
        "haproxy": ("--unit=haproxy", "--priority=notice"),
        "haproxy-stderr": ("--unit=haproxy", "_TRANSPORT=stdout"),
    }
    wanted |= {"keepalived": ("--unit=keepalived",)} if site is None or site.pair else {}
    wanted |= {"snmpd": ("--unit=snmpd",)} if site is None or site.snmp else {}
    command = ("journalctl", f"--since=@{since:.0f}", "--output=short-iso-precise", "--no-pager")

    def lines(matches: tuple[str, ...], most: int) -> bytes:
        return output(*command, f"--lines={most}", *matches)

    for name, matches in wanted.items():
        yield Part(f"journal/{name}.txt", partial(_newest, partial(lines, matches), _LINES))


def _newest(given: Callable[[int], bytes], most: int) -> bytes:
    """As many of the last entries of a log as fit, not more than `most`: a part that is too large loses its end."""
    while len(found := given(most)) > LIMIT and most > 1:
        most //= 2
    return found


def _file(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise CannotRun(f"{path} is no file.")
        with path.open("rb") as file:
            return file.read(LIMIT + 1)
    except OSError as e:
        raise CannotRun(f"{path} can't be read: {e.strerror}.") from None


def _lint(node: Node) -> Content:
    return [one.as_dict() for one in lint(node.file, node.registry.models(), kind_of=node.registry.kind)]


def _pair_status(node: Node) -> Content:
    return pair_status(Here(node.file, node.whole, node.registry.kind, node.state)).as_dict()


def _events(state: Path | None, since: float) -> Content:
    found, _ = EventLog(state).last(_EVENTS, since)
    lines = [json.dumps(_without_client(one.as_dict())).encode() + b"\n" for one in found]
    return _newest(lambda most: b"".join(lines[-most:]), _EVENTS)


def _without_client(event: dict[str, Any]) -> dict[str, Any]:
    event.get("details", {}).pop("key", None)  # of a persistence table
    return event


def _asked_haproxy(socket: str, command: str) -> Content:
    return Runtime(socket, _ANSWERS_WITHIN).ask(command) + "\n"


def _ipvs() -> Content:
    try:
        return output("ipvsadm", "-Ln")
    except CannotRun:
        return _file(Path("/proc/net/ip_vs"))


def _neighbours(node: Node) -> Content:
    """Those that the site names, and gateways; the others may be clients."""
    texts = (output("ip", "route", "show", "table", "all") + b"\n" + _site_text(node)).decode(errors="replace")
    known = set(filter(None, map(_address, re.findall(r"[0-9a-fA-F:.]{3,45}", texts))))
    lines = output("ip", "neigh").decode(errors="replace").splitlines()
    kept = [line for line in lines if _address(line.partition(" ")[0]) in known]
    return "".join(f"{line}\n" for line in (*kept, f"and {len(lines) - len(kept)} that the site does not name"))


def _site_text(node: Node) -> bytes:
    try:
        return _file(node.file)
    except CannotRun:
        return b""


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
