"""Sites with [alerts] for the tests of mail, and events about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unit.site_text import server, site, vip

import lbkit
from lbkit.site.model import Site
from lbkit.state.events import Event, EventKind

A, B = "192.0.2.7", "192.0.2.8"
OPS = ("ops@hospital.example",)


def mail_site(folder: Path, **alerts: Any) -> Site:
    """WEB (layer 7) and DICOM (layer 4), each with a1 at A and b1 at B."""
    servers = [server("a1", f"{A}:80"), server("b1", f"{B}:80")]
    passed_on = [server("a1", A), server("b1", B)]
    vips = [vip("WEB", "192.0.2.1:80", *servers), vip("DICOM", "192.0.2.2:104", *passed_on, mode="l4-dr")]
    return mail_site_of(folder, vips, **alerts)


def mail_site_of(folder: Path, vips: list[dict[str, Any]], **alerts: Any) -> Site:
    """Of these VIPs."""
    given = {"sender": "lb@hospital.example", "to": list(OPS), "smart_host": "127.0.0.1"} | alerts
    file = folder / "site.toml"
    file.write_text(site(*vips, alerts=given))
    return lbkit.load_site(file)


def down(vip: str, label: str, when: float, address: str = A, **more: Any) -> Event:
    """A real server goes down."""
    text = f"{vip}/{label} ({address}) is down: connect (refused): connection refused. 1 of 2 real servers serves."
    about = {"vip": vip, "server": label, "address": address, "step": "connect", "reason": "refused"}
    return Event("server-down", **{"text": text, "node": "lb1", "when": when, **about, **more})


def up(vip: str, label: str, when: float, address: str = A, **more: Any) -> Event:
    """It comes back."""
    return Event("server-up", f"{vip}/{label} is up again.", "lb1", when, vip, label, address, **more)


def event(kind: EventKind, when: float, text: str = "It happened.", **more: Any) -> Event:
    """Another one."""
    return Event(kind, text, "lb1", when, **more)
