"""The page that the balancer serves itself, for VIPs whose fallback it is (guide 5)."""

from __future__ import annotations

from importlib.resources import files

from lbkit.errors import Misuse
from lbkit.site.model import FallbackPage
from lbkit.tls import files as contents

NAME = "fallback.html"
_LARGEST = 12 << 10  # bytes; with its head it has to fit into one buffer of 16 KiB


def content(page: FallbackPage, site: str) -> bytes:
    """The site's own page, or a plain one that names it. Raises Misuse."""
    if page.file is None:
        return (files("lbkit.haproxy") / NAME).read_bytes().replace(b"SITE", site.encode())
    found = contents.read(page.file)
    if len(found) > _LARGEST:
        raise Misuse(f"{page.file} has {len(found)} bytes; a fallback page has at most {_LARGEST}. Shorten it.")
    return found
