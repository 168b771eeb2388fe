"""`lbkit pair-receive`: what sshd runs for the other node, on stdin and stdout. Nobody types it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lbkit_cli.site_option import SiteFile


def pair_receive(site: SiteFile = None) -> None:
    """Answer the other node of the pair; sshd runs it for the key that `lbkit pair setup` lets in.

    \b
    Example: command="lbkit pair-receive" in authorized_keys
    """
    from lbkit import Registry, load_site
    from lbkit.operate.receive import Here, serve
    from lbkit.site.found import PLACES, VARIABLE
    from lbkit_cli.logs import log_without_stderr

    log_without_stderr()  # what is written there goes to the other node, and nobody reads it

    # not ./site.toml: sshd begins in a home, where a draft may lie
    file = Path(site or os.environ.get(VARIABLE) or PLACES[-1])
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as source:
        serve(Here(file, lambda: load_site(str(file)), Registry().kind), source, sys.stdout.buffer)
