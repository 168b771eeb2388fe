"""The hooks by which plugins add to lbkit (pluggy, project name `lbkit`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from lbkit.checks.kind import CheckKind

hookspec = pluggy.HookspecMarker("lbkit")
hookimpl = pluggy.HookimplMarker("lbkit")


@hookspec
def lbkit_checks() -> Iterable[CheckKind[Any]]:  # type: ignore[empty-body]
    """The kinds of check that this plugin adds. The entry point (group `lbkit`) has the check's name. Since 0.1.0."""
