"""The option `--site`, and the arguments that name what the site has: VIPs, real servers, nodes; with their completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from lbkit.site.model import Site


def vip_labels(ctx: typer.Context, incomplete: str) -> list[str]:
    """The labels of the site's VIPs, for completion; none where there is no site, or a broken one."""
    site = _site_of(ctx)
    return [vip.label for vip in site.vips if vip.label.startswith(incomplete)] if site else []


def server_labels(ctx: typer.Context, incomplete: str) -> list[str]:
    """The labels of the real servers of the VIP that was typed before, where it is known yet; else of all."""
    site, label = _site_of(ctx), ctx.params.get("vip")
    vips = [vip for vip in site.vips if label in (None, vip.label)] if site else []
    labels = dict.fromkeys(server.label for vip in vips for server in vip.servers)
    return [one for one in labels if one.startswith(incomplete)]


def vip_or_server_labels(ctx: typer.Context, incomplete: str) -> list[str]:
    """The labels of VIPs; after `--all-vips` those of real servers."""
    return (server_labels if ctx.params.get("all_vips") else vip_labels)(ctx, incomplete)


def node_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the pair's nodes."""
    site = _site_of(ctx)
    return [node.name for node in site.pair.nodes if node.name.startswith(incomplete)] if site and site.pair else []


def _site_of(ctx: typer.Context) -> Site | None:
    from lbkit import load_site
    from lbkit.errors import LbkitError

    try:
        return load_site(ctx.params.get("site") or ctx.params.get("site_file"))
    except LbkitError:
        return None


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
    typer.Argument(metavar="VIP", help="Labels of VIPs. [default: all]", autocompletion=vip_labels),
]
Vip: TypeAlias = Annotated[str, typer.Argument(metavar="VIP", help="Its label.", autocompletion=vip_labels)]
Rip: TypeAlias = Annotated[
    str, typer.Argument(metavar="RIP", help="A real server: label or address.", autocompletion=server_labels)
]
RipOrNone: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="RIP", help="A real server: label or address.", autocompletion=server_labels)
]
Node: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--node",
        metavar="NODE",
        help="A node of the pair, by name. [default: this machine]",
        autocompletion=node_names,
        show_default=False,
    ),
]
