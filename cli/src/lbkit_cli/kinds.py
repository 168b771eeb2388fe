"""A command group with one command per installed kind of check: `lbkit check …` and `lbkit explain …`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Signature
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from lbkit.errors import PluginBroken

if TYPE_CHECKING:
    from lbkit.checks.kind import CheckKind
    from lbkit.checks.registry import Registry


class KindsGroup(TyperGroup):
    """Asks the registry for its commands; naming one loads that plugin alone."""

    command_for: Callable[[CheckKind[Any]], Callable[..., None] | None]
    _registry: Registry | None = None

    @property
    def registry(self) -> Registry:
        """The plugins that are installed."""
        if self._registry is None:
            from lbkit.checks.registry import Registry

            self._registry = Registry()
        return self._registry

    def list_commands(self, ctx: Any) -> list[str]:
        """The checks that this group has something for; broken plugins are left out here and shown by `lbkit plugins`."""
        return [name for name in self.registry.names() if self._usable(ctx, name)]

    def _usable(self, ctx: Any, name: str) -> bool:
        try:
            return self.get_command(ctx, name) is not None
        except PluginBroken:
            return False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command for a kind of check, or None: it has none here. Raises UnknownCheck, PluginBroken."""
        kind = self.registry.kind(cmd_name)
        function = self.command_for(kind)
        if function is None:
            return None
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(cmd_name, short_help=kind.summary)(function)
        return typer.main.get_command(single)


def with_signature(function: Callable[..., None], parameters: list[Any], doc: str) -> Callable[..., None]:
    """Give a function that takes `**options` the signature that Typer reads its options from."""
    function.__doc__ = doc
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return function
