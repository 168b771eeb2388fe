"""Which checks there are. Each is a plugin, found by its entry point (group `lbkit`, entry-point name = check name).

pluggy's own loader ends at the first broken plugin; here each is loaded and registered on its own, so that a broken one is
reported by name and left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from lbkit import hookspecs
from lbkit.checks.kind import CheckKind, Params
from lbkit.errors import PluginBroken, UnknownCheck

GROUP = "lbkit"
DISABLE = "LBKIT_DISABLE_PLUGINS"  # names of entry points that are not to be loaded, with commas between


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point: where it comes from, and the checks it adds or why it could not be loaded."""

    name: str
    module: str
    distribution: str
    version: str
    kinds: tuple[CheckKind[Any], ...] = ()
    error: str | None = None


class Registry:
    """Loads plugins when they are asked for: one check loads one plugin."""

    def __init__(self) -> None:
        self._disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",")} - {""}
        self._found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=GROUP):
            if entry.name not in self._disabled:
                self._found.setdefault(entry.name, []).append(entry)
        self._plugins: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)

    def names(self) -> list[str]:
        """The names of all checks that are installed; nothing is loaded."""
        return sorted(self._found)

    def kind(self, name: str) -> CheckKind[Any]:
        """The kind of that name. Raises UnknownCheck, PluginBroken."""
        if name in self._disabled:
            raise UnknownCheck(f"the check {name} is left out by {DISABLE}. Take it out of that variable to use it.")
        if name not in self._found:
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
        if name not in self._plugins:
            self._plugins[name] = self._load(name)
        return self._plugins[name]

    def _load(self, name: str) -> Plugin:
        entry, *others = self._found[name]
        distribution, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")
        kinds: tuple[CheckKind[Any], ...] = ()
        error: str | None = None
        if others:
            owners = " and ".join(sorted({e.dist.name for e in (entry, *others) if e.dist}))
            error = f"{owners} both give a check of this name; uninstall one"
        else:
            try:
                kinds = self._register(entry)
            except (Exception, SystemExit) as e:  # whatever a plugin's module raises is that plugin's trouble alone
                error = f"{type(e).__name__}: {' '.join(str(e).split())}"
        return Plugin(name, entry.value, distribution, version, kinds, error)

    def _register(self, entry: EntryPoint) -> tuple[CheckKind[Any], ...]:
        module = entry.load()
        self._manager.register(module, entry.name)
        try:
            hooks = self._manager.get_hookcallers(module) or []
            if not any(hook.name == "lbkit_checks" for hook in hooks):
                raise PluginBroken("it implements no hook lbkit_checks")
            self._manager.check_pending()
            given = self._manager.subset_hook_caller("lbkit_checks", self._others(module))()
            kinds = tuple(kind for one in given for kind in one)
            if [kind.name for kind in kinds] != [entry.name]:
                names = ", ".join(kind.name for kind in kinds) or "nothing"
                raise PluginBroken(f"its entry point is called {entry.name}, and it gives {names}")
        except BaseException:
            self._manager.unregister(module)
            raise
        return kinds

    def _others(self, module: object) -> list[object]:
        return [plugin for plugin in self._manager.get_plugins() if plugin is not module]
