"""`lbkit plugins`: which checks there are, from which distribution, and which plugins could not be loaded."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def plugins(
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON array of plugins.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With every reason code that each check gives.")
    ] = False,
) -> None:
    """List what is loaded, from where, and what it adds. Exit code 1 when a plugin is broken.

    Example: lbkit plugins -v
    """
    from lbkit.checks.reasons import REASONS
    from lbkit.checks.registry import Registry

    found = Registry().plugins()
    if json_:
        rows = [
            {
                "name": plugin.name,
                "module": plugin.module,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "checks": [{"name": k.name, "summary": k.summary, "reasons": dict(k.reasons)} for k in plugin.kinds],
                "error": plugin.error,
            }
            for plugin in found
        ]
        print(json.dumps(rows, ensure_ascii=False))
    else:
        for plugin in found:
            summary = f"BROKEN: {plugin.error}" if plugin.error else "; ".join(k.summary for k in plugin.kinds)
            print(f"{plugin.name:<14} {plugin.distribution} {plugin.version}  {summary}")
            for kind in plugin.kinds if verbose else ():
                for code, meaning in kind.reasons.items():
                    print(f"    {code:<28} {meaning}")
        if verbose:
            print("every check")
            for code, meaning in REASONS.items():
                print(f"    {code:<28} {meaning}")
    raise typer.Exit(1 if any(plugin.error for plugin in found) else 0)
