"""`lbkit support-bundle`: one file for whoever is to help, without a secret in it."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit_cli.site_option import SiteFile
from lbkit_cli.verb_options import Json, duration, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lbkit.operate.support import SupportBundle

INCOMPLETE = 1


def support_bundle(
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write it. [default: lbkit-support-HOST-DATE.tar.gz]",
            show_default=False,
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back events and logs go.")] = "24h",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Write one file for whoever is to help: site, configurations, states, events, logs and versions of this node.

    Keys, passwords and communities are taken out of all of it, and so are clients' addresses as far as lbkit and HAProxy
    know them; docs/support.md says what is in it. It changes nothing, and wants neither an agent nor a site without errors.
    As root it has more: what it could not have, it names.
    Exits with 0 if all is in it, 1 if something is not, 3 if it can't be written.

    \b
    Example: lbkit support-bundle --since 2h -o ticket-4711.tar.gz
    """
    from lbkit import Registry
    from lbkit.operate.support import support_bundle as verb
    from lbkit.site.found import site_file_or_first

    begin = time.time() - duration("--since", since)
    to = Path(output or time.strftime(f"lbkit-support-{os.uname().nodename}-%Y%m%d-%H%M%S.tar.gz"))
    with _progress() as tell:
        made = verb(site_file_or_first(site), to, begin, Registry(), force=force, progress=tell)
    if as_json:
        print_json(made.as_dict())
    else:
        _tell(made)
    raise typer.Exit(INCOMPLETE if made.failed else 0)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Each part, where somebody sits at a terminal."""
    if not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status("begins") as line:
        yield lambda name: line.update(Text(name))


def _tell(made: SupportBundle) -> None:
    from lbkit.checks.conversation import printable
    from lbkit.operate.wording import many

    there = len(made.parts) - len(made.failed)
    typer.echo(f"wrote {made.file}: {many(there, 'part')}. Secrets are taken out; read it before you send it.")
    sys.stdout.flush()
    for one in made.failed:
        typer.echo(printable(f"not in it: {one.name}: {one.error}"), err=True)
    for one in made.parts:
        if one.cut:
            typer.echo(f"cut at 10 MiB: {one.name}", err=True)
    for unread in made.unread:
        typer.echo(printable(f"warning: a secret in it could not be looked for: {unread}"), err=True)
