"""The option `--site`, and the argument that names VIPs, with their completion."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer


def vip_labels(ctx: typer.Context, incomplete: str) -> list[str]:
    """The labels of the site's VIPs, for completion; none where there is no site, or a broken one."""
    from lbkit import load_site
    from lbkit.errors import LbkitError

    try:
        return [vip.label for vip in load_site(ctx.params.get("site")).vips if vip.label.startswith(incomplete)]
    except LbkitError:
        return []


SiteFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--site",
        metavar="FILE",
        help="The site file. [default: $LBKIT_SITE, ./site.toml or /etc/lbkit/site.toml]",
        show_default=False,
    ),
]
Vips: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="[VIP...]", help="Labels of VIPs. [default: all]", autocompletion=vip_labels),
]
