"""`lbkit pair-receive`: what sshd runs for the other node, on stdin and stdout. Nobody types it."""

from __future__ import annotations

import sys

from lbkit_cli.site_option import SiteFile


def pair_receive(site: SiteFile = None) -> None:
    """Answer the other node of the pair; sshd runs it for the key that `lbkit pair setup` lets in.

    \b
    Example: command="lbkit pair-receive" in authorized_keys
    """
    from lbkit import Registry, load_site
    from lbkit.operate.receive import Here, serve
    from lbkit.site.found import site_file

    file = site_file(site)
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as source:
        serve(Here(file, lambda: load_site(str(file)), Registry().kind), source, sys.stdout.buffer)
