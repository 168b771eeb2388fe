"""Which site file is meant, when several could be."""

from __future__ import annotations

import os
from pathlib import Path

from lbkit.errors import Misuse

VARIABLE = "LBKIT_SITE"
PLACES = (Path("site.toml"), Path("/etc/lbkit/site.toml"))


def site_file(given: str | os.PathLike[str] | None = None) -> Path:
    """`given`, `LBKIT_SITE`, `./site.toml` or `/etc/lbkit/site.toml`: the first that is named or there. Raises Misuse."""
    named = given or os.environ.get(VARIABLE)
    if named:
        return Path(named)
    for place in PLACES:
        if place.exists():
            return place
    raise Misuse(
        f"no site file: neither --site nor {VARIABLE} names one, and {' and '.join(map(str, PLACES))} are not there. "
        "Write one with `lbkit init ccw -o site.toml`."
    )


def site_file_or_first(given: str | os.PathLike[str] | None = None) -> Path:
    """The same; /etc/lbkit/site.toml on a node that has none yet, for one that is to come there."""
    try:
        return site_file(given)
    except Misuse:
        return PLACES[-1]
