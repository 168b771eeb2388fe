"""The tables of a site file that are right by themselves, so that one error hides no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lbkit.site.findings import Key, Problem
from lbkit.site.model import AgentSettings, CaFamily, Certificate, FallbackPage, HaproxySettings, Pair, Site
from lbkit.site.reporting import Alerts, Metrics, Snmp
from lbkit.site.services import Vip
from lbkit.site.wording import problems_of

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a site. `vips`: by their number, from 0. `known`: names, of tables with errors too."""

    vips: Mapping[int, Vip] = field(default_factory=dict)
    ca_families: Mapping[str, CaFamily] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    pair: Pair | None = None
    alerts: Alerts | None = None
    haproxy: HaproxySettings | None = None
    fallback_page: FallbackPage | None = None
    agent: AgentSettings | None = None
    snmp: Snmp | None = None
    metrics: Metrics | None = None
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)


def draft(document: Mapping[str, Any], folder: Path) -> tuple[Site | None, Draft, list[Problem]]:
    """The site, its tables, and what is wrong with each. Relative paths in it are seen from `folder`."""
    context = {"folder": folder.absolute()}
    try:
        site = Site.model_validate(document, context=context)
    except ValidationError as e:
        errors = e.errors(include_url=False, include_input=False)
        wrong = {error["loc"][:depth] for error in errors for depth in (1, 2)}
        return None, _right(document, wrong, context), problems_of(errors, document)
    known = {"ca_families": frozenset(site.ca_families), "certificates": frozenset(site.certificates)}
    vips, singles = (
        dict(enumerate(site.vips)),
        (site.pair, site.alerts, site.haproxy, site.fallback_page, site.agent, site.snmp, site.metrics),
    )
    return site, Draft(vips, site.ca_families, site.certificates, *singles, known), []


def _right(document: Mapping[str, Any], wrong: set[Key], context: Mapping[str, Any]) -> Draft:
    def table(name: str) -> Mapping[str, Any]:
        given = document.get(name)
        return given if isinstance(given, dict) else {}

    def those(model: type[Model], name: str, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Model]:
        return {key: model.model_validate(one, context=context) for key, one in pairs if (name, key) not in wrong}

    def one(model: type[Model], name: str) -> Model | None:
        given = document.get(name)
        return model.model_validate(given, context=context) if given is not None and (name,) not in wrong else None

    vips = document.get("vips")
    return Draft(
        those(Vip, "vips", enumerate(vips if isinstance(vips, list) else ())),
        those(CaFamily, "ca_families", table("ca_families").items()),
        those(Certificate, "certificates", table("certificates").items()),
        one(Pair, "pair"),
        one(Alerts, "alerts"),
        one(HaproxySettings, "haproxy"),
        one(FallbackPage, "fallback_page"),
        one(AgentSettings, "agent"),
        one(Snmp, "snmp"),
        one(Metrics, "metrics"),
        {name: frozenset(table(name)) for name in ("ca_families", "certificates")},
    )
