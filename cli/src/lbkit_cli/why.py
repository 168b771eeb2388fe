"""`lbkit why`: why a VIP, or a real server of it, is as it is, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbkit_cli.site_option import RipOrNone, SiteFile, Vip
from lbkit_cli.verb_options import Json, print_json

if TYPE_CHECKING:
    from lbkit.operate.why import Explained


def why(vip: Vip, server: RipOrNone = None, as_json: Json = False, site: SiteFile = None) -> None:
    """Say why a VIP, or a real server of it, is as it is: health, intents, who changed what last, where traffic goes.

    \b
    Example: lbkit why CCW_NOTIFICATION CCW_App_Server_2
    """
    from lbkit import load_site
    from lbkit.operate.why import why as explain

    explained = explain(load_site(site), vip, server)
    if as_json:
        print_json(explained.as_dict())
    else:
        _print(explained)


def _print(explained: Explained) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from lbkit.checks.conversation import printable

    console = Console(highlight=False)

    def indented(sentence: str, style: str = "") -> None:
        text = Text(printable(sentence), style)
        if console.is_terminal:
            console.print(Padding(text, (0, 0, 0, 2), expand=False))
        else:  # for grep
            console.print("  ", text, sep="", soft_wrap=True)

    console.print(Text(printable(explained.title), "bold"), soft_wrap=not console.is_terminal)
    for heading, sentences in explained.paragraphs:
        console.print()
        console.print(Text(heading, "bold cyan"))
        for sentence in sentences:
            indented(sentence)
    if explained.next:
        console.print()
        console.print(Text("What to type next", "bold cyan"))
        for command in explained.next:
            indented(command, "bold")
