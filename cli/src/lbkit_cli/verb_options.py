"""What the commands that change something share: their options, durations as people write them, and how it is told."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from lbkit.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit.operate.outcome import Done

PENDING = 1
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and touch nothing.")]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for `lbkit log`.")]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Do it although it hurts.")]


def duration(option: str, text: str) -> float:
    """In seconds. Raises Misuse."""
    from lbkit.durations import seconds

    try:
        return seconds(text)
    except ValueError as e:
        raise Misuse(f"{option}: {e}.") from None


def print_json(document: Any) -> None:
    """On stdout, at once: what follows may take its time."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=1))
    sys.stdout.flush()


def tell(done: Sequence[Done], as_json: bool = False) -> None:
    """What was done, or would be: a line for each step on stdout; warnings after all of them, on stderr."""
    from lbkit.checks.conversation import printable

    if as_json:
        print_json({"done": [one.as_dict() for one in done]})
        return
    for one in done:
        for step in one.steps:
            typer.echo(f"{'would ' if one.dry_run else ''}{one.verb} {_who(one)}: {printable(step)}")
        if one.peer.outcome == "done":
            typer.echo(f"{one.verb} {_who(one)}: done on {one.peer.node} too")
    sys.stdout.flush()
    for one in done:
        for warning in (*one.warnings, *_of_peer(one)):
            typer.echo(f"warning: {_who(one)}: {printable(warning)}", err=True)


def exit_if_pending(done: Sequence[Done]) -> None:
    """With 1, where the other node has not got all of it."""
    if any(one.peer.outcome == "pending" for one in done):
        raise typer.Exit(PENDING)


def _of_peer(done: Done) -> list[str]:
    peer = done.peer
    if peer.outcome == "pending":
        return [
            f"done here, and pending on {peer.node}: {peer.why.removesuffix('.')}. The agent of this node finishes it when "
            "it can; or ask again then."
        ]
    return [peer.why] if peer.why else []


def _who(done: Done) -> str:
    return f"{done.vip} / {done.server}" if done.server else done.vip
