"""`lbkit render real-server`: what an administrator runs on each real server of a layer-4 VIP."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit.errors import Misuse
from lbkit_cli.site_option import SiteFile, server_labels
from lbkit_cli.verb_options import Json, print_json

if TYPE_CHECKING:
    from lbkit.ipvs.real_server import Prepared


class System(StrEnum):
    """What a real server runs on."""

    WINDOWS = "windows"
    LINUX = "linux"


class Form(StrEnum):
    """How it is prepared."""

    POWERSHELL = "powershell"
    NETSH = "netsh"
    COMMANDS = "commands"
    NETWORKD = "networkd"


_OF = {System.WINDOWS: (Form.POWERSHELL, Form.NETSH), System.LINUX: (Form.COMMANDS, Form.NETWORKD)}


def real_server(
    server: Annotated[
        str,
        typer.Argument(metavar="SERVER", help="A real server: label or address.", autocompletion=server_labels),
    ],
    os: Annotated[System, typer.Option("--os", help="What it runs on; CCW runs on Windows.")] = System.WINDOWS,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="Windows: a PowerShell script, or netsh commands for a loopback adapter that is there. Linux: commands "
            "that hold until the next boot, or files for systemd-networkd. [default: powershell or commands]",
            show_default=False,
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="What takes it back.")] = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Print what a real server of layer-4 VIPs needs, so that it takes packets for them and answers no ARP (guide 8.2).

    Run it there as administrator or root; it may be run again.

    \b
    Example: lbkit render real-server DICOM_Server_1 > loopback.ps1
    """
    from lbkit import load_site
    from lbkit.ipvs.real_server import prepared

    chosen = form or _OF[os][0]
    if chosen not in _OF[os]:
        other = next(system for system, forms in _OF.items() if chosen in forms)
        raise Misuse(f"--format {chosen} is for --os {other}. For --os {os} there are: {', '.join(_OF[os])}.")
    if undo and chosen is Form.POWERSHELL:
        raise Misuse("--undo: the PowerShell script takes it back by itself. Run it with -Undo.")
    made = prepared(load_site(site), server, chosen.value, undo=undo)
    if as_json:
        document = {"server": made.name, "address": made.address, "os": os.value, "format": chosen.value, "undo": undo}
        contents = [{"path": path, "content": content} for path, content in made.files.items()]
        print_json({**document, "vips": made.vips, "files": contents, "commands": list(made.commands)})
    else:
        typer.echo(_text(made), nl=False)


def _text(made: Prepared) -> str:
    """One file as it is; of several each below its path."""
    if len(made.files) == 1:
        return "".join(made.files.values())
    parts = [f"# {path}\n{content}\n" for path, content in made.files.items()]
    head = "# and then, as root:\n" if parts else ""
    return "".join(parts) + head + "".join(f"{command}\n" for command in made.commands)
