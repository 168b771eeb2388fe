"""The command `lbkit demo`. It loads what it needs when it runs: every `lbkit` command imports this module."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lbkit_demo.ending import Ending
    from lbkit_demo.operations import Operation
    from lbkit_demo.site import SimulatedSite
    from lbkit_demo.story import Chapter

NOT_AS_EXPECTED = 2

Stay = Annotated[bool, typer.Option("--stay", help="Keep the site running until Ctrl-C instead.")]
Broken = Annotated[
    list[str] | None,
    typer.Option(
        "--fault", metavar="SERVER=FAULT", help="With --stay: break VIP/SERVER so from the start. Repeatable."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="With --stay: keep the site's files there. [default: a temporary one]"),
]
Faults = Annotated[bool, typer.Option("--faults", help="List the faults that there are, and end.")]
Timeout = Annotated[float, typer.Option(min=0.2, max=10.0, help="Seconds that each check may take.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def demo(
    stay: Stay = False,
    broken: Broken = None,
    folder: Folder = None,
    faults: Faults = False,
    timeout: Timeout = 1.0,
    as_json: Json = False,
) -> None:
    """Run the whole CCW site on this machine: operate it under its clients' traffic, then break one server after the other.

    Exits with 0 if no client noticed what it should not, and lbkit said of each fault what it should; else with 2.

    Example: lbkit demo --stay --fault CCW_NOTIFICATION/CCW_App_Server_1=wrong-body
    """
    if (broken or folder) and not stay:
        raise Misuse("--fault and --folder are for a site that stays. Give --stay too.")
    if faults:
        _list(as_json)
    elif stay:
        _stay(folder, timeout, _pairs(broken or []), as_json)
    elif not _tell(timeout, as_json):
        raise typer.Exit(NOT_AS_EXPECTED)


def _list(as_json: bool) -> None:
    import json

    from lbkit_demo.kinds import KINDS

    if as_json:
        typer.echo(json.dumps({kind: [fault.as_dict() for fault in table] for kind, table in KINDS.items()}, indent=2))
        return
    from rich.console import Console

    from lbkit_demo import screen

    screen.tables(Console(highlight=False), KINDS)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for server, _, fault in pairs:
        if not server or not fault:
            raise Misuse(f"--fault: write VIP/SERVER=FAULT, not {server!r}. `lbkit demo --faults` lists the faults.")
    return {server: fault for server, _, fault in pairs}


def _stay(folder: Path | None, timeout: float, faults: dict[str, str], as_json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM, which is how this is meant to end."""
    from lbkit_demo.ending import Ending

    ending = Ending()
    try:
        with _running(ending, folder, timeout, faults) as site:
            _show(site, as_json)
            ending.wait()
    except KeyboardInterrupt:
        typer.echo("ended", err=True)


@contextmanager
def _running(
    ending: "Ending", folder: Path | None, timeout: float, faults: dict[str, str]
) -> "Iterator[SimulatedSite]":
    """The site, in a folder that is gone afterwards if none is given. Intents of this process are kept with it."""
    import os
    from tempfile import TemporaryDirectory

    from lbkit_demo.site import STATE, SimulatedSite

    with ExitStack() as stack:
        with ending.held():
            place = folder or stack.enter_context(TemporaryDirectory(prefix="lbkit-demo-"))
            site = stack.enter_context(SimulatedSite(Path(place), timeout, faults))
        os.environ[STATE] = str(site.state)
        yield site


def _show(site: "SimulatedSite", as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(site.as_dict(), indent=2))
        return
    from rich.console import Console

    from lbkit_demo import screen

    screen.standing(Console(highlight=False), site)


def _tell(timeout: float, as_json: bool) -> bool:
    """The story; whether all of it went as it should."""
    from lbkit_demo.ending import Ending

    try:
        with _running(Ending(), None, timeout, {}) as site:
            return _tell_json(site) if as_json else _tell_screen(site)
    except KeyboardInterrupt:
        raise typer.Abort from None


def _tell_screen(site: "SimulatedSite") -> bool:
    """Chapter by chapter, as it happens."""
    from rich.console import Console

    from lbkit_demo import screen
    from lbkit_demo.shift import operations
    from lbkit_demo.story import chapters, checked, down

    console = Console(highlight=False)
    found = checked(site)
    screen.opening(console, site, found)
    done: list[Operation] = []
    told: list[Chapter] = []
    screen.operating(console, site)
    with console.status("clients ask all the time"):
        for operation in operations(site):
            done.append(operation)
            screen.operation(console, len(done), operation)
    screen.operated(console, done)
    with console.status("breaking the next one"):
        for chapter in chapters(site):
            told.append(chapter)
            screen.chapter(console, len(told), chapter)
    screen.tally(console, told)
    screen.what_next(console)
    return not down(found) and all(one.told for one in done) and all(one.told for one in told)


def _tell_json(site: "SimulatedSite") -> bool:
    import json

    from lbkit_demo.shift import operations
    from lbkit_demo.story import chapters

    done, told = list(operations(site)), list(chapters(site))
    story = {"operations": [one.as_dict() for one in done], "faults": [one.as_dict() for one in told]}
    typer.echo(json.dumps(story, indent=2))
    return all(one.told for one in done) and all(one.told for one in told)


def add_commands(app: typer.Typer) -> None:
    """Entry point of group `lbkit.cli`."""
    app.command("demo")(demo)
