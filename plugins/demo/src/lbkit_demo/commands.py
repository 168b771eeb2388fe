"""The command `lbkit demo`. It loads what it needs when it runs: every `lbkit` command imports this module."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lbkit_demo.server import SimulatedServer

NOT_AS_EXPECTED = 2

Stay = Annotated[bool, typer.Option("--stay", help="Keep healthy and broken servers running until Ctrl-C instead.")]
Timeout = Annotated[float, typer.Option(min=0.2, max=10.0, help="Seconds that each check may take.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]


def demo(stay: Stay = False, timeout: Timeout = 1.0, as_json: Json = False) -> None:
    """Break simulated DICOM servers in a dozen ways, and show what lbkit says of each, and what echoscu says.

    Exits with 0 if lbkit said of each fault what it should, else with 2.

    Example: lbkit demo --stay
    """
    from lbkit_demo.story import healthy_cast, standing_cast, started

    if stay:
        with started(standing_cast()) as servers:
            _wait(servers, as_json)
        return
    with started(healthy_cast()) as servers:
        as_expected = _tell_json(servers, timeout) if as_json else _tell(servers, timeout)
    if not as_expected:
        raise typer.Exit(NOT_AS_EXPECTED)


def _tell(servers: "list[SimulatedServer]", timeout: float) -> bool:
    """Chapter by chapter, as it happens."""
    from rich.console import Console

    from lbkit_demo import screen
    from lbkit_demo.story import chapters, check

    console = Console(highlight=False)
    results = [check(server, timeout) for server in servers]
    screen.opening(console, servers, results)
    told = []
    with console.status("breaking the next one"):
        for chapter in chapters(servers, timeout):
            told.append(chapter)
            screen.chapter(console, len(told), chapter)
    screen.tally(console, told)
    screen.what_next(console)
    return all(result.status == "up" for result in results) and all(chapter.told for chapter in told)


def _tell_json(servers: "list[SimulatedServer]", timeout: float) -> bool:
    import json

    from lbkit_demo.story import chapters

    told = list(chapters(servers, timeout))
    typer.echo(json.dumps([chapter.as_dict() for chapter in told], indent=2))
    return all(chapter.told for chapter in told)


def _wait(servers: "list[SimulatedServer]", as_json: bool) -> None:
    """Serve until Ctrl-C, which is how this is meant to end."""
    import json
    import threading

    from rich.console import Console

    from lbkit_demo import screen

    if as_json:
        typer.echo(json.dumps([server.as_dict() for server in servers], indent=2))
    else:
        screen.standing(Console(highlight=False), servers)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo("ended", err=True)


def add_commands(app: typer.Typer) -> None:
    """Entry point of group `lbkit.cli`."""
    app.command("demo")(demo)
