"""`lbkit init`, `lbkit lint`, `lbkit schema`: what is done with a site file before it is used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lbkit.site.findings import Finding

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def init(
    profile: Annotated[str, typer.Argument(help="The site to begin with.")] = "ccw",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; - prints it.")
    ] = "site.toml",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Write a site file to begin with: `ccw` has the 15 VIPs of GE Centricity Cardio Workflow.

    \b
    Example: lbkit init ccw -o site.toml
    """
    from lbkit.errors import Misuse
    from lbkit.site import profiles

    text = profiles.text(profile)
    if output == "-":
        typer.echo(text, nl=False)
        return
    file = Path(output)
    if dry_run and file.exists() and not force:
        raise Misuse(f"{file} is there already, and would be left as it is. Give --force to replace it.")
    if not dry_run:
        profiles.write(profile, file, force=force)
    if as_json:
        typer.echo(json.dumps({"profile": profile, "file": output, "written": not dry_run}))
    elif dry_run:
        typer.echo(f"would write {file}: {len(text.splitlines())} lines, from profile {profile}")
    else:
        typer.echo(f"wrote {file}. Change what is marked CHANGE, then: lbkit lint {file}")


def lint(
    site: Annotated[
        str | None,
        typer.Argument(
            metavar="[SITE]", help="The site file. [default: $LBKIT_SITE, ./site.toml or /etc/lbkit/site.toml]"
        ),
    ] = None,
    site_option: Annotated[
        str | None, typer.Option("--site", metavar="FILE", help="The same.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what is wrong with a site file and its certificates, and what is dangerous.

    Exits with 0 if there is nothing, 1 with warnings, 2 with errors, 3 if there is no file to read.

    \b
    Example: lbkit lint site.toml
    """
    from lbkit.checks.registry import Registry
    from lbkit.errors import Misuse
    from lbkit.lint import lint as find
    from lbkit.operate.wording import many
    from lbkit.site.found import site_file

    if site and site_option:
        raise Misuse("the site file is given twice. Give it as argument, or with --site.")
    file = site_file(site or site_option)
    registry = Registry()
    findings = find(file, registry.models(), kind_of=registry.kind)
    counts = {severity: sum(found.severity == severity for found in findings) for severity in ("error", "warning")}
    if as_json:
        found: dict[str, Any] = {"file": str(file), "errors": counts["error"], "warnings": counts["warning"]}
        typer.echo(json.dumps({**found, "findings": [one.as_dict() for one in findings]}, indent=2))
    else:
        _show(findings)
        print(f"{file}: {many(counts['error'], 'error')}, {many(counts['warning'], 'warning')}", file=sys.stderr)
    raise typer.Exit(2 if counts["error"] else 1 if counts["warning"] else 0)


def schema() -> None:
    """Print the JSON Schema of site files, with what all installed checks and receivers need in it.

    \b
    Example: lbkit schema > site.schema.json
    """
    from lbkit.checks.registry import Registry
    from lbkit.site.schema import schema as make
    from lbkit.state.receiver_plugins import ReceiverPlugins

    typer.echo(json.dumps(make(Registry().models(), ReceiverPlugins().models()), indent=2))


def _show(findings: list[Finding]) -> None:
    if not sys.stdout.isatty():
        print(*findings, sep="\n", end="\n" if findings else "")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    for found in findings:
        line = Text(str(found))
        line.highlight_words([f" {found.severity}:"], "bold red" if found.severity == "error" else "yellow")
        console.print(line)
