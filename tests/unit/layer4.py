"""A site of layer 4, loaded, and the kernel's table played by a dict."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from unit.site_text import server, site, vip

import lbkit
from lbkit.ipvs.difference import DestinationStep, ServiceStep, Step
from lbkit.ipvs.table import Key, SeenDestination, SeenService
from lbkit.site.model import Site
from lbkit.state.intents import Intent, Wanted

VIP = "192.0.2.10"


def loaded(*vips: dict[str, Any], **more: Any) -> Site:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "site.toml")
        path.write_text(site(*vips, **more))
        return lbkit.load_site(path)


def two(label: str = "A", ports: str = "104", **more: Any) -> dict[str, Any]:
    """A layer-4 VIP with the real servers s1 and s2."""
    servers = more.pop("servers", (server("s1", "192.0.2.11"), server("s2", "192.0.2.12")))
    return vip(label, f"{VIP}:{ports}", *servers, mode="l4-dr", **more)


def asks(wanted: Wanted, server: str = "s1", vip: str = "A", **more: Any) -> dict[tuple[str, str], Intent]:
    return {(vip, server): Intent(vip, server, wanted, **more)}


def after(now: dict[Key, SeenService], done: list[Step]) -> dict[Key, SeenService]:
    """The table after these steps, each of which the kernel would take."""
    services = {key: (one.service, dict(one.destinations)) for key, one in now.items()}
    for step in done:
        if isinstance(step, ServiceStep):
            key = step.service.key
            assert (key in services) == (step.verb != "add"), step
            if step.verb == "remove":
                del services[key]
            else:
                services[key] = (step.service, services[key][1] if step.verb == "change" else {})
        else:
            assert isinstance(step, DestinationStep)
            there, place = services[step.key][1], step.destination.place
            assert (place in there) == (step.verb != "add"), step
            if step.verb == "remove":
                del there[place]
            else:
                there[place] = SeenDestination(step.destination)
    return {key: SeenService(service, there) for key, (service, there) in services.items()}
