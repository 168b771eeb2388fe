"""The hooks by which plugins add to lbkit (pluggy, project name `lbkit`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lbkit.checks.kind import CheckKind
    from lbkit.state.events import Event

hookspec = pluggy.HookspecMarker("lbkit")
hookimpl = pluggy.HookimplMarker("lbkit")


@hookspec
def lbkit_checks() -> Iterable[CheckKind[Any]]:  # type: ignore[empty-body]
    """The kinds of check that this plugin adds. The entry point (group `lbkit`) has the check's name. Since 0.1.0."""


@hookspec
def lbkit_event_settings() -> type[BaseModel]:  # type: ignore[empty-body]
    """The model of `[alerts.receivers.NAME]`; the entry point (group `lbkit.receivers`) has that name.

    Keys that end in `_file` are paths; they come as they are seen from the site file's folder. Secrets are such files, never
    values. Goes with `lbkit_event`. Since 0.1.0.
    """


@hookspec
def lbkit_event(event: Event, settings: BaseModel, active: bool) -> None:
    """Take one event. The agent calls it for every one, in order, in a thread of this receiver alone: it may wait as long as
    it likes. What keeps Python itself busy for long, such as a regular expression that never ends, holds up the checks too.

    `active`: this node is the one that tells others, or was when it happened; the other one of a pair sees the same things,
    and calls it too.
    Raises whatever it likes where it can't take the event: the same comes again after 1 s, 2 s, 4 s, … at most 300 s, and
    the others wait behind it; a message of lbkit.errors is shown as it is. What returned is taken, but after a crash the
    agent may give the last ones once more: at least once each, and `event.ident` tells. Since 0.1.0.
    """
