"""`lbkit check site`: every check of the site side by side, as a table by VIP, and what is wrong below it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbkit.errors import Misuse
from lbkit_cli.site_option import SiteFile, Vips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit.checks.plan import Planned
    from lbkit.checks.survey import Found


class Format(StrEnum):
    """The forms in which the checks of a site are printed."""

    TABLE = "table"
    LINE = "line"
    JSON = "json"
    NAGIOS = "nagios"
    PROMETHEUS = "prometheus"


def site(
    vips: Vips = None,
    site_file: SiteFile = None,
    real_only: Annotated[bool, typer.Option("--real-only", help="Check the real servers alone.")] = False,
    vip_only: Annotated[
        bool, typer.Option("--vip-only", help="Check the VIPs themselves alone, as a client does.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    format_: Annotated[
        Format | None, typer.Option("--format", help="How to print what is found. [default: table]", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every check, not only what is wrong.")] = False,
) -> None:
    """Check every real server of the site, and every VIP as a client would.

    VIPs of layer 4 can't be reached from the balancer that holds them: they are not testable here.
    Exits with 2 if anything is down, else with 3 if a check could not be run, else with 1 if there are warnings.

    \b
    Example: lbkit check site CCW_NOTIFICATION --real-only
    """
    from lbkit.checks.plan import plan
    from lbkit.checks.registry import Registry
    from lbkit.checks.survey import exit_code
    from lbkit.site.found import site_file as find
    from lbkit.site.load import load_site

    if real_only and vip_only:
        raise Misuse("--real-only and --vip-only leave nothing to check. Give one of them.")
    if as_json and format_ not in (None, Format.JSON):
        raise Misuse(f"--json and --format {format_} contradict each other. Give one of them.")
    form = Format.JSON if as_json else format_ or Format.TABLE
    if verbose and form is not Format.TABLE:
        raise Misuse(f"--verbose is for the table; {form} has all of it anyway. Give one of them.")
    registry = Registry()
    loaded = load_site(find(site_file), registry.models())
    planned = plan(loaded, registry.kind, vips or (), real=not vip_only, virtual=not real_only)
    start = monotonic()
    found = _run(planned)
    _show(form, loaded.name, planned, found, monotonic() - start, verbose)
    raise typer.Exit(exit_code(one.result for one in found))


def _run(planned: Sequence[Planned]) -> list[Found]:
    """What each of them found, in their order."""
    import asyncio  # `lbkit check NAME` imports this module too, and does without

    from lbkit.checks.survey import survey
    from lbkit_cli.sweep import AT_ONCE, progress, raise_file_limit

    raise_file_limit()
    by_number: dict[int, Found] = {}
    with progress() or nullcontext() as bar:
        task = bar.add_task("checking", total=len(planned), down=0) if bar else None

        async def run() -> None:
            down = 0
            async for number, found in survey(planned, AT_ONCE):
                by_number[number] = found
                down += found.result.status == "down"
                if bar is not None and task is not None:
                    bar.update(task, advance=1, down=down)

        asyncio.run(run())
    return [by_number[number] for number in range(len(planned))]


def _show(
    form: Format, name: str, planned: Sequence[Planned], found: list[Found], seconds: float, verbose: bool
) -> None:
    if form is Format.TABLE:
        from lbkit_cli.site_table import show

        show(name, found, seconds, verbose)
    elif form is Format.JSON:
        typer.echo(json.dumps(_document(name, found, seconds), ensure_ascii=False, indent=1))
    elif form is Format.PROMETHEUS:
        from lbkit.checks.exposition import exposition

        rows = (({"vip": one.vip, "server": one.server or ""}, one.result) for one in found)
        typer.echo(exposition(rows), nl=False)
    elif form is Format.NAGIOS:
        typer.echo(_nagios(name, found, seconds))
    else:
        for one in found:
            typer.echo(f"{one.vip} {one.server or 'VIP'} {one.result.line()}")


def _document(name: str, found: Sequence[Found], seconds: float) -> dict[str, Any]:
    from lbkit.checks.survey import counts

    checks = [one.as_dict() for one in found]
    return {"site": name, "summary": counts(found), "duration_s": round(seconds, 6), "checks": checks}


def _nagios(name: str, found: Sequence[Found], seconds: float) -> str:
    """The plugin's status line, then a line for each that is not simply up (Nagios plugin guidelines, 2.1 and 2.6)."""
    from lbkit.checks.survey import SEVERITY, code_of, counts, exit_code

    many = counts(found)
    word = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[exit_code(one.result for one in found)]
    text = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in many.items())
    data = " ".join(f"{what}={number};;;0" for what, number in many.items())
    odd = sorted((one for one in found if code_of(one.result)), key=lambda one: SEVERITY.index(code_of(one.result)))
    lines = [f"{one.vip} {one.server or 'VIP'} {one.result.line()}".replace("|", "/") for one in odd]
    return "\n".join([f"SITE {word} - {name}: {text} | time={seconds:.6f}s;;;0 {data}", *lines])
