"""The plugins that a site gives its events to, and what each needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lbkit.errors import LbkitError
from lbkit.lint.files import missing, readable_by_all
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.state.receiver_plugins import ReceiverPlugins

_SECRETS = ("secret_file", "password_file", "key_file")


def problems(draft: Draft) -> Iterator[Problem]:
    """All of them. Of the plugins that are installed, those that the site names are loaded."""
    if draft.alerts is None:
        return
    plugins = ReceiverPlugins()
    for name, given in draft.alerts.receivers.items():
        key: Key = ("alerts", "receivers", name)
        try:
            wrong = plugins.kind(name).problems(given)
        except LbkitError as e:
            yield Problem("error", "unknown-receiver", key, str(e))
            continue
        yield from wrong or _files(name, given, key)


def _files(name: str, given: Mapping[str, Any], key: Key) -> Iterator[Problem]:
    paths = {field: path for field, path in given.items() if field.endswith("_file") and isinstance(path, str)}
    absent = list(missing(paths, key))
    yield from absent
    for field in _SECRETS if not absent else ():
        if field in paths:
            yield from readable_by_all(paths[field], (*key, field), name)
