"""Alerts by mail: what keeps them from being sent, and what nobody takes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from lbkit.errors import Misuse
from lbkit.lint.files import missing, readable_by_all
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.reporting import Alerts
from lbkit.tls.files import password

_KEY: Key = ("alerts",)
_TLS_FIRST = 465  # RFC 8314


def problems(draft: Draft) -> Iterator[Problem]:
    """All of them."""
    if draft.alerts is None:
        return
    yield from _server(draft.alerts)
    yield from _login(draft.alerts)
    yield from _files(draft.alerts)
    for key, address in _addresses(draft, draft.alerts):
        yield from _domain(key, address)


def _error(rule: str, key: Key, message: str) -> Problem:
    return Problem("error", rule, key, message)


def _server(alerts: Alerts) -> Iterator[Problem]:
    if alerts.smart_host is not None:
        if alerts.smart_host_port == _TLS_FIRST:
            message = "at port 465 TLS comes before the first word, which lbkit does not speak. Give 587, or 25."
            yield _error("contradiction", (*_KEY, "smart_host_port"), message)
        return
    if "smart_host_port" in alerts.model_fields_set:
        message = (
            "smart_host_port without smart_host: a domain's own mail servers are asked at port 25. Give smart_host."
        )
        yield _error("contradiction", (*_KEY, "smart_host_port"), message)
    if find_spec("dns") is None:
        message = (
            "without smart_host the mail servers of a domain are asked of the DNS with dnspython, which is not installed "
            "here. pip install 'lbkit-core[mail]', or give smart_host."
        )
        yield _error("unusable", _KEY, message)


def _login(alerts: Alerts) -> Iterator[Problem]:
    if alerts.user is not None and alerts.starttls == "never":
        message = 'nobody logs in without TLS: nothing would be sent. Take starttls = "never" out, or user.'
        yield _error("contradiction", (*_KEY, "starttls"), message)
    for given, absent in (("user", "password_file"), ("password_file", "user")):
        if getattr(alerts, given) is not None and getattr(alerts, absent) is None:
            yield _error("contradiction", (*_KEY, given), f"{given} without {absent}. Add it, or take {given} out.")
    if alerts.ca_file is not None and alerts.user is None and alerts.starttls != "required":
        message = (
            f'with starttls = "{alerts.starttls}" the mail server\'s certificate is not verified: ca_file means nothing. '
            'Give starttls = "required".'
        )
        yield Problem("warning", "not-verified", (*_KEY, "ca_file"), message)


def _files(alerts: Alerts) -> Iterator[Problem]:
    given = {name: path for name in ("ca_file", "password_file") if (path := getattr(alerts, name)) is not None}
    absent = list(missing(given, _KEY))
    yield from absent
    path, key = given.get("password_file"), (*_KEY, "password_file")
    if path is None or any(one.key == key for one in absent):
        return
    try:
        password(path)
    except Misuse as e:
        yield _error("unusable", key, str(e))
    yield from readable_by_all(path, key)


def _addresses(draft: Draft, alerts: Alerts) -> Iterator[tuple[Key, str]]:
    """Those whose domain counts: of senders, and without a smart host of recipients."""
    parts = {name: part for name in ("layer_4", "layer_7", "pair") if (part := getattr(alerts, name)) is not None}
    for key, part in ((_KEY, alerts), *(((*_KEY, name), part) for name, part in parts.items())):
        if part.sender is not None:
            yield (*key, "sender"), part.sender
        if alerts.smart_host is None:
            yield from (((*key, "to", index), one) for index, one in enumerate(part.to))
    if alerts.smart_host is None:
        for number, vip in draft.vips.items():
            if vip.alert_to is not None:
                yield ("vips", number, "alert_to"), vip.alert_to


def _domain(key: Key, address: str) -> Iterator[Problem]:
    labels = address.rpartition("@")[2].split(".")
    if len(labels) == 1 or not all(labels):
        message = f"{address} has no full domain: mail servers turn it away. Give one such as lb@hospital.example."
        yield Problem("warning", "mail-domain", key, message)
