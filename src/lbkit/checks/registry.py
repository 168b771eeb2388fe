"""Which checks there are. Each is a plugin, found by its entry point (group `lbkit`, entry-point name = check name)."""

from __future__ import annotations

from typing import Any

from lbkit.checks.kind import CheckKind, Params
from lbkit.errors import PluginBroken, UnknownCheck
from lbkit.plugins import DISABLE, Hooks, Loaded, Plugins

GROUP = "lbkit"


class Plugin(Loaded[tuple[CheckKind[Any], ...]]):
    """One entry point: where it comes from, and the checks it adds or why it could not be loaded."""

    @property
    def kinds(self) -> tuple[CheckKind[Any], ...]:
        """The checks; none of a broken one."""
        return self.given or ()


class Registry:
    """Loads plugins when they are asked for: one check loads one plugin."""

    def __init__(self) -> None:
        self._plugins = Plugins(GROUP, "check", ("lbkit_checks",), _kinds)

    def names(self) -> list[str]:
        """The names of all checks that are installed; nothing is loaded."""
        return self._plugins.names()

    def kind(self, name: str) -> CheckKind[Any]:
        """The kind of that name. Raises UnknownCheck, PluginBroken."""
        if name in self._plugins.disabled:
            raise UnknownCheck(f"the check {name} is left out by {DISABLE}. Take it out of that variable to use it.")
        if name not in self.names():
            known = ", ".join(self.names())
            raise UnknownCheck(
                f"no check is called {name!r}. There are: {known}. Install its plugin, or see `lbkit plugins`."
            )
        plugin = self._plugin(name)
        for kind in plugin.kinds:
            if kind.name == name:
                return kind
        raise PluginBroken(f"the plugin of {name} ({plugin.distribution}) can't be used: {plugin.error}. Reinstall it.")

    def models(self) -> dict[str, type[Params]]:
        """The parameter model of each check that can be loaded."""
        return {kind.name: kind.params for plugin in self.plugins() for kind in plugin.kinds}

    def plugins(self) -> list[Plugin]:
        """All of them, loaded, the broken ones with their error."""
        return [self._plugin(name) for name in self.names()]

    def _plugin(self, name: str) -> Plugin:
        one = self._plugins.of(name)
        return Plugin(one.name, one.module, one.distribution, one.version, one.given, one.error)


def _kinds(name: str, hooks: Hooks) -> tuple[CheckKind[Any], ...]:
    kinds = tuple(kind for given in hooks["lbkit_checks"]() for kind in given)
    if [kind.name for kind in kinds] != [name]:
        names = ", ".join(kind.name for kind in kinds) or "nothing"
        raise PluginBroken(f"its entry point is called {name}, and it gives {names}")
    return kinds
