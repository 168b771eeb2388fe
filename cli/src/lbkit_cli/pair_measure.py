"""`lbkit pair measure`: how long this node stands still now and then, and which advert interval bears it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbkit.errors import Misuse
from lbkit_cli.verb_options import Json, duration, print_json

if TYPE_CHECKING:
    from lbkit.pair.stalls import Record

_SHOWN = 5


def measure(
    how_long: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="Measure for so long; Ctrl-C ends it earlier.")
    ] = "24h",
    show: Annotated[bool, typer.Option("--show", help="Show what was measured before, and measure nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Record for how long this node stands still now and then, and say which advert_interval of [pair] bears that.

    A hypervisor's snapshot or migration stalls a machine, and a master that stalls for longer than three adverts loses the
    VIPs. Measure a whole day on both nodes before you go below 1 s, and take the longer of both. It sleeps nearly all the
    time and changes nothing; its record is stalls.json in the state folder (/var/lib/lbkit), kept every ten seconds, and a
    later run adds to it. Remove that file to begin anew.

    Exits with 0, or with 3 if nothing can be measured or, with --show, nothing was.

    \b
    Examples: systemd-run --unit lbkit-measure lbkit pair measure --for 24h
              lbkit pair measure --show
    """
    from lbkit.pair import stalls

    seconds = duration("--for", how_long)
    if show:
        record = stalls.read()
        if record is None:
            raise Misuse(f"nothing was measured on this node yet: {stalls.path()} is not there. Leave out --show.")
    else:
        record = _measured(seconds, as_json)
    if as_json:
        print_json({**record.as_dict(), "bears_s": record.bears, "safe_s": record.safe, "enough": record.is_enough})
    else:
        _tell(record)


def _measured(seconds: float, quiet: bool) -> Record:
    from rich.console import Console
    from rich.text import Text

    from lbkit.checks.result import milliseconds
    from lbkit.pair.stalls import measure
    from lbkit_cli.moments import span

    for number in (signal.SIGTERM, signal.SIGHUP):  # a service that is stopped, a terminal that is closed: as Ctrl-C
        signal.signal(number, _stop)
    with Console(stderr=True, quiet=quiet, highlight=False).status("measuring") as line:

        def progress(record: Record, left: float) -> None:
            line.update(Text(f"{span(left)} left; the longest stall so far {milliseconds(record.longest)}"))

        return measure(seconds, None, progress)


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _tell(record: Record) -> None:
    from time import time

    from lbkit.checks.conversation import printable
    from lbkit.checks.result import milliseconds
    from lbkit.durations import written
    from lbkit_cli.moments import moment, span

    typer.echo(
        printable(f"{record.node} was measured for {span(record.measured)}, until {moment(record.ended, time())}")
    )
    for one in record.worst[:_SHOWN]:
        typer.echo(f"  stood still for {milliseconds(one.late):>9} at {moment(one.when, time())}")
    if not record.worst:
        typer.echo("  it never stood still for 20 ms")
    counted = ", ".join(f"{number} over {level}" for level, number in record.over.items() if number)
    typer.echo(f"stalls: {counted or 'none'}")
    if record.stolen:
        typer.echo(
            f"the hypervisor took {record.stolen:.1f} s of processor time, at most {record.stolen_most:.0%} of a second"
        )
    for one in record.steps[:_SHOWN]:
        typer.echo(
            f"the clock was put forward by {milliseconds(one.late)} at {moment(one.when, time())}: was it paused then?"
        )
    if record.bears is None or record.safe is None:
        typer.echo("no advert_interval bears that: find out what stalls this machine, with whoever runs its hypervisor")
        return
    typer.echo(f'it bears advert_interval = "{written(record.bears)}", with a margin of two')
    if not record.is_enough:
        typer.echo(
            f'stay at "{written(record.safe)}" or more until a whole day was measured, with its backups and snapshots'
        )
    typer.echo("measure the other node too, and take the longer of both")
