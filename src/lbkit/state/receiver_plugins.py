"""Which plugins take events. Each is found by its entry point (group `lbkit.receivers`), whose name the site file uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from lbkit.errors import Misuse, PluginBroken
from lbkit.plugins import DISABLE, Hooks, Loaded, Plugins
from lbkit.site.findings import Key, Problem
from lbkit.site.model import Site
from lbkit.site.wording import problems_of
from lbkit.state.events import Event

GROUP = "lbkit.receivers"
_OWN = ("mail", "traps-")  # lbkit's own receivers: how the names begin by which their places in the log are kept


@dataclass(frozen=True, slots=True)
class ReceiverKind:
    """What a plugin gives. `settings`: the model of `[alerts.receivers.NAME]`."""

    name: str
    settings: type[BaseModel]
    hooks: Hooks

    def take(self, event: Event, settings: BaseModel, active: bool) -> None:
        """Give it one event. Raises whatever the plugin raises."""
        self.hooks["lbkit_event"](event=event, settings=settings, active=active)

    def read(self, given: Mapping[str, Any]) -> BaseModel:
        """Its settings. Raises Misuse where they are wrong."""
        for problem in self.problems(given):
            raise Misuse(f"[alerts.receivers.{self.name}] can't be used: {problem.message}")
        return self._model(given)

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with its settings."""
        try:
            self._model(given)
        except ValidationError as e:
            key: Key = ("alerts", "receivers", self.name)
            errors = e.errors(include_url=False, include_input=False)
            return problems_of(errors, None, key, self.settings.model_fields, self.name)
        return []

    def _model(self, given: Mapping[str, Any]) -> BaseModel:
        # strict, as the site file is all over; a TOML list is a model's tuple
        values = {name: tuple(one) if isinstance(one, list) else one for name, one in given.items()}
        return self.settings.model_validate(values, strict=True)


class ReceiverPlugins:
    """Loads those that are asked for."""

    def __init__(self) -> None:
        self._plugins = Plugins(GROUP, "receiver", ("lbkit_event", "lbkit_event_settings"), _kind)

    def names(self) -> list[str]:
        """Of all that are installed; nothing is loaded."""
        return self._plugins.names()

    def kind(self, name: str) -> ReceiverKind:
        """The one of that name. Raises Misuse where there is none, PluginBroken."""
        if name in self._plugins.disabled:
            raise Misuse(f"the receiver {name} is left out by {DISABLE}. Take it out of that variable to use it.")
        if name not in self.names():
            known = ", ".join(self.names()) or "none"
            raise Misuse(f"no plugin gives the receiver {name}; there are: {known}. Install it, or use another.")
        plugin = self._plugins.of(name)
        if plugin.given is None:
            raise PluginBroken(
                f"the plugin of {name} ({plugin.distribution}) can't be used: {plugin.error}. Reinstall it."
            )
        return plugin.given

    def models(self) -> dict[str, type[BaseModel]]:
        """The settings of each that can be loaded."""
        return {one.name: one.given.settings for one in self.plugins() if one.given}

    def plugins(self) -> list[Loaded[ReceiverKind]]:
        """All of them, loaded, the broken ones with their error."""
        return [self._plugins.of(name) for name in self.names()]


def _kind(name: str, hooks: Hooks) -> ReceiverKind:
    if name.startswith(_OWN):
        raise PluginBroken("names that begin with mail or traps- are lbkit's own; its entry point needs another")
    settings = next(iter(hooks["lbkit_event_settings"]()), None)
    if not (isinstance(settings, type) and issubclass(settings, BaseModel)):
        raise PluginBroken(f"its lbkit_event_settings gives {settings!r:.60}, which is no pydantic model")
    return ReceiverKind(name, settings, hooks)


def receivers_of(site: Site) -> tuple[str, ...]:
    """The names of all receivers that a site asks for, lbkit's own first."""
    mail = () if site.alerts is None else ("mail", *sorted(site.alerts.receivers))
    traps = () if site.snmp is None else dict.fromkeys(one.name for one in site.snmp.traps)
    return (*mail, *traps)
