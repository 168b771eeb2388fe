"""Site files for tests, as text."""

from __future__ import annotations

from typing import Any

import tomlkit


def server(label: str, target: str, **more: Any) -> dict[str, Any]:
    """A real server at HOST:PORT, or at HOST on the ports of its VIP."""
    address, _, port = target.partition(":")
    return {"label": label, "address": address, **({"port": int(port)} if port else {}), **more}


def vip(label: str, target: str, *servers: dict[str, Any], check: Any = "connect", **more: Any) -> dict[str, Any]:
    """A VIP at HOST:PORT[,PORT…]; `check`: a kind, or the whole table."""
    address, _, ports = target.partition(":")
    table = {"kind": check} if isinstance(check, str) else check
    given = {"mode": "l7-snat", "check": table, "servers": list(servers), **more}
    return {"label": label, "address": address, "ports": [int(port) for port in ports.split(",")], **given}


def site(*vips: dict[str, Any], **more: Any) -> str:
    """A site file."""
    return tomlkit.dumps({"name": "test", "vips": list(vips), **more})
