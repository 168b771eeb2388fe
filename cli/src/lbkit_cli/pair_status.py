"""`lbkit pair status`: both nodes side by side, and what is not as it should be."""

from __future__ import annotations

import typer

from lbkit_cli.site_option import SiteFile
from lbkit_cli.terminal import console
from lbkit_cli.verb_options import Json, print_json


def status(as_json: Json = False, site: SiteFile = None) -> None:
    """Show both nodes of the pair side by side: who has the VIPs, what works, what is not alike, and what to type next.

    Each node is asked what it does; the other one over ssh. It ends within 10 seconds, also where a node is dead, cut off or
    half dead, and changes nothing. Type it on either node; on both, where they can't reach each other.

    Exits with 0 if all is well, 1 if something is not as it should be, 2 if both nodes have the VIPs (split brain) or
    neither, 3 if it can't be asked: the site has no pair, or this machine is none of its nodes.

    \b
    Examples: lbkit pair status
              lbkit pair status --json | jq -r .verdict
    """
    from lbkit import Registry, load_site
    from lbkit.operate.pair_status import pair_status
    from lbkit.operate.receive import Here
    from lbkit.site.found import site_file
    from lbkit_cli.pair_status_table import show

    file = site_file(site)
    found = pair_status(Here(file, lambda: load_site(str(file)), Registry().kind))
    if as_json:
        print_json(found.as_dict())
    else:
        show(found, console())
    raise typer.Exit(found.exit_code)
