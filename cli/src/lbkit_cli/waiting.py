"""`--wait`: what is left on real servers that were taken out, as a live line on stderr."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING

from lbkit_cli.moments import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit.operate.outcome import Done
    from lbkit.operate.wait import Left
    from lbkit.site.model import Site


def wait_for(site: Site, done: Sequence[Done], timeout: float) -> None:
    """Return once nothing is left. `timeout`: seconds. Raises WaitRanOut; Ctrl-C ends the wait alone."""
    from rich.console import Console
    from rich.text import Text

    from lbkit.operate.wait import wait

    start = monotonic()
    console = Console(stderr=True, highlight=False)
    try:
        with console.status("waiting") as line:
            wait(site, done, timeout, lambda left: line.update(Text(in_words(left, monotonic() - start, timeout))))
    except KeyboardInterrupt:
        print("no longer waited for; what was done holds. Take it back with `lbkit online`.", file=sys.stderr)
        raise
    print(f"nothing is left, after {span(monotonic() - start)}", file=sys.stderr)


def in_words(left: Sequence[Left], passed: float, timeout: float) -> str:
    """`5s of 10m: CCW_WEB_443/s1: 12 open connections`."""
    return f"{span(passed)} of {span(timeout)}: {'; '.join(str(one) for one in left if not one.is_nothing)}"
