"""What HAProxy can't take of the site as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lbkit.site.draft import Draft
from lbkit.site.findings import Problem
from lbkit.site.model import Site

_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")  # HAProxy expands and splits paths of sockets
_LONGEST = 80  # bytes of the sockets' folder: sun_path has 108, and HAProxy binds a longer name first


def problems(site: Site | Draft) -> Iterator[Problem]:
    """All of them."""
    folder = site.haproxy.runtime if site.haproxy else ""
    if site.haproxy and not (_PLAIN.fullmatch(folder) and len(folder) <= _LONGEST):
        message = (
            f"{folder[:100]!r} can't be the folder of HAProxy's sockets: at most {_LONGEST} letters, digits and /._+-. "
            "Give another."
        )
        yield Problem("error", "unusable", ("haproxy", "runtime"), message)
