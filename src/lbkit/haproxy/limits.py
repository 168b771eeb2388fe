"""What HAProxy can't take of a site, whoever runs the checks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lbkit.durations import written
from lbkit.haproxy.native import Checked, is_address, not_native
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.model import Site
from lbkit.site.services import Vip

LONGEST = 24 * 86400.0  # seconds; HAProxy counts milliseconds in 31 bits (manual 2.5)
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")  # HAProxy expands and splits paths of sockets
_LONGEST = 80  # bytes of the sockets' folder: sun_path has 108, and HAProxy binds a longer name first


def problems(site: Site | Draft) -> Iterator[Problem]:
    """Of the site as a whole."""
    folder = site.haproxy.runtime if site.haproxy else ""
    if site.haproxy and not (_PLAIN.fullmatch(folder) and len(folder) <= _LONGEST):
        message = (
            f"{folder[:100]!r} can't be the folder of HAProxy's sockets: at most {_LONGEST} letters, digits and /._+-. "
            "Give another."
        )
        yield Problem("error", "unusable", ("haproxy", "runtime"), message)


def of_vip(vip: Vip, key: Key, site: Site | Draft, servers: list[Checked]) -> Iterator[Problem]:
    """Of one layer-7 VIP."""
    yield from _durations(vip, key, servers[0].params.timeout)
    for index, server in enumerate(vip.servers):
        if server.verify is not None and server.server_name is not None and is_address(server.server_name):
            message = (
                f"{vip.label} / {server.label}: HAProxy looks for names in certificates, never for addresses such as "
                f"{server.server_name}. Give a name that its certificate has."
            )
            yield _not_native((*key, "servers", index, "server_name"), message)
    if vip.source_address is not None and ":" in vip.source_address and not_native(vip, site, servers):
        message = (
            f"{vip.label}: HAProxy has to ask the agent for it, at 127.0.0.1, and can't from {vip.source_address}. Take "
            "source_address out, or give a check that HAProxy can run itself."
        )
        yield _not_native((*key, "source_address"), message)


def _not_native(key: Key, message: str) -> Problem:
    return Problem("error", "not-native", key, message)


def _durations(vip: Vip, key: Key, timeout: float) -> Iterator[Problem]:
    found = {
        ("check", "interval"): vip.check.interval,
        ("check", "fast_interval"): vip.check.fast_interval,
        ("check", "timeout"): timeout,
        ("persistence", "timeout"): vip.persistence.timeout,
        ("slow_start",): vip.slow_start,
        ("client_timeout",): vip.client_timeout,
        ("server_timeout",): vip.server_timeout,
    }
    for place, duration in found.items():
        if duration is not None and duration > LONGEST:
            message = f"{vip.label}: {written(duration)} is more than HAProxy counts ({written(LONGEST)}). Give less."
            yield _not_native((*key, *place), message)
