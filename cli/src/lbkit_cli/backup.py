"""`lbkit backup` and `lbkit restore`: a node's site, intents and generation in one file, and back."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit_cli.install import print_changes
from lbkit_cli.site_option import SiteFile
from lbkit_cli.verb_options import DryRun, Json, print_json

if TYPE_CHECKING:
    from lbkit.operate.restore import Restored


class Secrets(StrEnum):
    """What becomes of keys and passwords."""

    OMIT = "omit"
    ENCRYPT = "encrypt"


PasswordFile = Annotated[
    str | None,
    typer.Option("--password-file", metavar="FILE", help="Its first line encrypts the secrets.", show_default=False),
]


def backup(
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write it. [default: lbkit-NODE-DATE.json]",
            show_default=False,
        ),
    ] = None,
    secrets: Annotated[
        Secrets, typer.Option("--secrets", help="Keys and passwords: left out, or encrypted (--password-file).")
    ] = Secrets.OMIT,
    password_file: PasswordFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Write one file with the site, all files that it names, the intents and the generation of this node.

    The node's own settings (addresses, ssh keys) are in none. Exits with 0 once it is written.

    \b
    Example: lbkit backup -o lb1.json --secrets encrypt --password-file /root/backup-password
    """
    from lbkit import load_site
    from lbkit.errors import Misuse
    from lbkit.operate.backup import backup as verb
    from lbkit.operate.generation import name_of
    from lbkit.operate.wording import many
    from lbkit.site.found import site_file
    from lbkit.tls.files import password

    if (secrets is Secrets.ENCRYPT) != bool(password_file):
        raise Misuse(
            "--secrets encrypt and --password-file FILE go together. Give both, or none: secrets are left out then."
        )
    file = site_file(site)
    loaded = load_site(str(file))
    to = Path(output or time.strftime(f"lbkit-{name_of(loaded)}-%Y%m%d-%H%M%S.json"))
    made = verb(loaded, file, to, password(password_file) if password_file else None, force=force)
    if as_json:
        print_json({"file": str(to), "files": len(made.site.files) + 1, "omitted": list(made.omitted)})
        return
    typer.echo(
        f"wrote {to}: {file}, {many(len(made.site.files), 'file')} that it names, {many(len(made.intents), 'intent')}"
    )
    for one in made.omitted:
        typer.echo(f"left out, for it is secret: {one}")


def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="As `lbkit backup` wrote it.")],
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Put a backup's site in force on this node: tried first, shown, whole or not at all; with its intents.

    Of intents the newer win. In a pair `lbkit pair sync` then gives the site to the other node.
    Exits with 0 if it is in force, 2 if it could not be, and all is as it was, 3 if it is wrong or secrets are missing.

    \b
    Example: lbkit restore lb1.json --password-file /root/backup-password --dry-run
    """
    from lbkit import Registry
    from lbkit.operate.backup import read
    from lbkit.operate.restore import restore as verb
    from lbkit.site.found import site_file_or_first
    from lbkit.tls.files import password

    given = read(Path(file), password(password_file) if password_file else None)
    _tell(verb(given, site_file_or_first(site), Registry().kind, dry_run=dry_run), as_json)


def _tell(done: Restored, as_json: bool) -> None:
    from lbkit.checks.conversation import printable

    if as_json:
        print_json(done.as_dict())
        return
    print_changes(done.changes)
    for step in done.steps:
        typer.echo(printable(step))
    if not done.dry_run:
        typer.echo(f"generation {done.generation} of the site is in force")
    for warning in done.warnings:
        typer.echo(f"warning: {printable(warning)}", err=True)
