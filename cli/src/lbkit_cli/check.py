"""`lbkit check NAME TARGET…`: the options come from the check's model, the exit code from the worst result."""

from __future__ import annotations

import sys
from enum import StrEnum
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbkit.errors import Misuse
from lbkit_cli import check_site
from lbkit_cli.kinds import KindsGroup, with_signature
from lbkit_cli.options import given, options

if TYPE_CHECKING:
    from lbkit.checks.kind import Check, CheckKind
    from lbkit.checks.result import Result
    from lbkit.checks.target import Target


SITE = "site"


class Format(StrEnum):
    """The forms in which results are printed."""

    LINE = "line"
    JSON = "json"
    NAGIOS = "nagios"
    PROMETHEUS = "prometheus"


_OUTPUT = [
    Parameter(
        "json_",
        Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[
            bool, typer.Option("--json", help="Print JSON: an object, or an array for several targets.")
        ],
    ),
    Parameter(
        "format_",
        Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Format | None, typer.Option("--format", help="How to print results. [default: line]")],
    ),
    Parameter(
        "verbose",
        Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[
            bool, typer.Option("--verbose", "-v", help="Show each step with its time, and all details.")
        ],
    ),
]
_TARGETS = Parameter(
    "targets",
    Parameter.POSITIONAL_OR_KEYWORD,
    annotation=Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...", help="HOST, HOST:PORT or [IPV6]:PORT; - reads them from stdin, one per line."
        ),
    ],
)


class ChecksGroup(KindsGroup):
    """`lbkit check`: one command for each kind of check, and `site` for all that a site file asks for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """`site` last."""
        return [*super().list_commands(ctx), SITE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """See `KindsGroup`; `site` is no kind of check."""
        if cmd_name != SITE:
            return super().get_command(ctx, cmd_name)
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(SITE, short_help="Every check of the site file, side by side")(check_site.site)
        return typer.main.get_command(single)

    def command_for(self, kind: CheckKind[Any]) -> Any:
        """The command that runs this kind."""

        def command(targets: list[str], json_: bool, format_: Format | None, verbose: bool, **values: Any) -> None:
            form = _form(json_, format_, verbose)
            check = kind.prepare(given(values))
            several = len(targets) > 1 or targets == ["-"]
            results = _run(check, _targets(check, targets))
            _show(results, form, verbose, several)
            raise typer.Exit(max(result.exit_code for result in results))

        doc = f"{kind.params.__doc__ or kind.summary}\n\n\b\nExample: lbkit check {kind.name} 192.32.40.210{_port(kind)}\n"
        return with_signature(command, [_TARGETS, *options(kind.params), *_OUTPUT], doc)


app = typer.Typer(cls=ChecksGroup, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def check() -> None:
    """Run a health check against one or many targets.

    Exit codes: 0 up, 1 up with a warning, 2 down, 3 could not be run. With several targets the worst one counts.
    """


def _port(kind: CheckKind[Any]) -> str:
    return "" if kind.params.model_fields["port"].default else ":443"


def _form(json_: bool, format_: Format | None, verbose: bool) -> Format:
    if json_ and format_ not in (None, Format.JSON):
        raise Misuse(f"--json and --format {format_} contradict each other. Give one of them.")
    form = Format.JSON if json_ else format_ or Format.LINE
    if verbose and form is not Format.LINE:
        raise Misuse(f"--verbose is for humans, {form} for machines, which get all details anyway. Give one of them.")
    return form


def _targets(check: Check, words: list[str]) -> list[Target]:
    """Each target once, in the order given. Raises Misuse before anything is run."""
    found: dict[Target, None] = {}
    for word in words:
        if word != "-":
            found[check.target(word)] = None
            continue
        for number, line in enumerate(sys.stdin, 1):
            text = line.partition("#")[0].strip()
            if text:
                try:
                    found[check.target(text)] = None
                except Misuse as e:
                    raise Misuse(f"line {number} of stdin: {e}") from None
    if not found:
        raise Misuse("no target is given: stdin had no line with one.")
    return list(found)


def _run(check: Check, targets: list[Target]) -> list[Result]:
    if len(targets) == 1:
        return [check.run(targets[0])]
    from lbkit_cli.sweep import sweep

    return sweep(check, targets)


def _show(results: list[Result], form: Format, verbose: bool, several: bool) -> None:
    if form is Format.JSON:
        if several:
            print("[" + ",\n ".join(result.as_json() for result in results) + "]")
        else:
            print(results[0].as_json())
    elif form is Format.NAGIOS:
        for result in sorted(results, key=lambda result: -result.exit_code):  # the first line is the service's status
            print(result.as_nagios())
    elif form is Format.PROMETHEUS:
        from lbkit.checks.exposition import exposition

        print(exposition(({}, result) for result in results), end="")
    elif verbose:
        from lbkit_cli.view import show

        for result in results:
            show(result)
    else:
        for result in results:
            print(result.line())
