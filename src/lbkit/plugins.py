"""Plugins: each found by its entry point, loaded and registered on its own.

pluggy's own loader ends at the first broken plugin; here a broken one is reported by name and left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeAlias, TypeVar

import pluggy

from lbkit import hookspecs
from lbkit.errors import PluginBroken

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Hooks: TypeAlias = Mapping[str, Callable[..., list[Any]]]  # by name; each returns what this one plugin gives

DISABLE = "LBKIT_DISABLE_PLUGINS"  # names of entry points that are not to be loaded, with commas between


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T_co]):
    """One entry point: where it comes from, and what it gives or why it could not be loaded."""

    name: str
    module: str
    distribution: str
    version: str
    given: T_co | None = None
    error: str | None = None


class Plugins(Generic[T]):
    """The entry points of a group; each is loaded when it is asked for, and once.

    `what`: what one of them gives, in a word. `hooks`: those that it has to implement. `read(name, hooks)`: what it gives.
    """

    def __init__(self, group: str, what: str, hooks: tuple[str, ...], read: Callable[[str, Hooks], T]) -> None:
        self.disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",")} - {""}
        self._found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=group):
            if entry.name not in self.disabled:
                self._found.setdefault(entry.name, []).append(entry)
        self._what = what
        self._hooks = hooks
        self._read = read
        self._loaded: dict[str, Loaded[T]] = {}
        self._manager = pluggy.PluginManager("lbkit")
        self._manager.add_hookspecs(hookspecs)

    def names(self) -> list[str]:
        """The names of all that are installed; nothing is loaded."""
        return sorted(self._found)

    def of(self, name: str) -> Loaded[T]:
        """The one of that name, which is among `names()`, loaded; a broken one with its error."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Loaded[T]:
        entry, *others = self._found[name]
        distribution, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")
        given: T | None = None
        error: str | None = None
        if others:
            owners = " and ".join(sorted({e.dist.name for e in (entry, *others) if e.dist}))
            error = f"{owners} both give a {self._what} of this name; uninstall one"
        else:
            try:
                given = self._register(entry)
            except (Exception, SystemExit) as e:  # whatever a plugin's module raises is that plugin's trouble alone
                error = f"{type(e).__name__}: {' '.join(str(e).split())}"
        return Loaded(name, entry.value, distribution, version, given, error)

    def _register(self, entry: EntryPoint) -> T:
        module = entry.load()
        self._manager.register(module, entry.name)
        try:
            implemented = {hook.name for hook in self._manager.get_hookcallers(module) or ()}
            for hook in self._hooks:
                if hook not in implemented:
                    raise PluginBroken(f"it implements no hook {hook}")
            self._manager.check_pending()
            return self._read(entry.name, {hook: partial(self._call, module, hook) for hook in self._hooks})
        except BaseException:
            self._manager.unregister(module)
            raise

    def _call(self, module: object, hook: str, **given: Any) -> list[Any]:
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not module]  # some may be loaded later
        found: list[Any] = self._manager.subset_hook_caller(hook, others)(**given)
        return found
