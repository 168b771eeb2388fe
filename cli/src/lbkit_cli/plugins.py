"""`lbkit plugins`: which checks and receivers there are, from which distribution, and which could not be loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lbkit.checks.registry import Plugin
    from lbkit.plugins import Loaded
    from lbkit.state.receiver_plugins import ReceiverKind


def plugins(
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON array of plugins.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="With every reason code of each check, and every setting of each receiver."
        ),
    ] = False,
) -> None:
    """List what is loaded, from where, and what it adds: checks, and receivers of events. Exit code 1 when one is broken.

    Example: lbkit plugins -v
    """
    from lbkit.checks.registry import Registry
    from lbkit.state.receiver_plugins import ReceiverPlugins

    checks, receivers = Registry().plugins(), ReceiverPlugins().plugins()
    if json_:
        print(json.dumps([*map(_of_checks, checks), *map(_of_a_receiver, receivers)], ensure_ascii=False))
    else:
        for plugin in checks:
            _show(plugin, "; ".join(kind.summary for kind in plugin.kinds))
            for kind in plugin.kinds if verbose else ():
                _show_codes(kind.reasons)
        for one in receivers:
            _show(one, f"receiver: {_summary(one)}")
            if verbose:
                _show_codes(_settings(one))
        if verbose:
            from lbkit.checks.reasons import REASONS

            print("every check")
            _show_codes(REASONS)
    raise typer.Exit(1 if any(plugin.error for plugin in (*checks, *receivers)) else 0)


def _of_checks(plugin: Plugin) -> dict[str, Any]:
    checks = [{"name": k.name, "summary": k.summary, "reasons": dict(k.reasons)} for k in plugin.kinds]
    return {**_origin(plugin), "checks": checks, "error": plugin.error}


def _of_a_receiver(one: Loaded[ReceiverKind]) -> dict[str, Any]:
    found = {"name": one.name, "summary": _summary(one), "settings": _settings(one)}
    return {**_origin(one), "checks": [], "receiver": found if one.given else None, "error": one.error}


def _origin(plugin: Plugin | Loaded[Any]) -> dict[str, str]:
    return {name: getattr(plugin, name) for name in ("name", "module", "distribution", "version")}


def _summary(one: Loaded[ReceiverKind]) -> str:
    return (one.given.settings.__doc__ or "").strip().partition("\n")[0] if one.given else ""


def _settings(one: Loaded[ReceiverKind]) -> dict[str, str]:
    return (
        {name: field.description or "" for name, field in one.given.settings.model_fields.items()} if one.given else {}
    )


def _show(plugin: Plugin | Loaded[Any], summary: str) -> None:
    said = f"BROKEN: {plugin.error}" if plugin.error else summary
    print(f"{plugin.name:<14} {plugin.distribution} {plugin.version}  {said}")


def _show_codes(meanings: Mapping[str, str]) -> None:
    for code, meaning in meanings.items():
        print(f"    {code:<28} {meaning}")
