"""What tests of `apply` share: VIPs that any worker can be reloaded with, and looks at disk and processes."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interop.engines import haproxy as haproxy
from interop.operated import CHECK, HOST, Named, Operated, own_port
from unit.site_text import server, vip

from lbkit.haproxy.program import HAPROXY, Program

Vips = list[dict[str, Any]]


@pytest.fixture
def servers(haproxy: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Named]]:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    made = {"one": Named("one"), "two": Named("two", "127.0.0.2")}
    yield made
    for each in made.values():
        each.die()


def of(*named: Named) -> Vips:
    return [server(each.name, f"{each.host}:{each.port}") for each in named]


def plain(label: str, *named: Named, port: int = 0, check: Any = CHECK, **more: Any) -> dict[str, Any]:
    """A VIP without persistence: a young worker can be reloaded at once."""
    return vip(label, f"{HOST}:{port or own_port()}", *of(*named), check=check, **more)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that lies in a folder, but for what the kernel keeps there of running processes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
        if not stat.S_ISSOCK(path.stat().st_mode)
    }


def worker(site: Operated) -> int:
    return next(one.pid for one in site.haproxy.master.processes() if one.kind == "worker" and not one.old)


def haproxies(site: Operated) -> list[int]:
    """Processes with this site's configuration."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if str(site.haproxy.configuration) in words:
            found.append(int(one.parent.name))
    return found
