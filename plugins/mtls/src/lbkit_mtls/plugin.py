"""What `mtls` declares: its parameters, its reason codes, its protocol."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from lbkit.checks.kind import CheckKind, TlsTerms
from lbkit.checks.script import Exchange
from lbkit.hookspecs import hookimpl
from lbkit_mtls.handshake import handshake
from lbkit_mtls.prepared import Prepared, days

if TYPE_CHECKING:
    from lbkit.checks.kind import Protocol
    from lbkit.checks.target import Target


class MtlsParams(TlsTerms):
    """Does the server complete a TLS handshake with our client certificate, and do all certificates last?"""

    port: int | None = Field(443, ge=1, le=65535, description="Port of targets that name none.")
    warning_days: int = Field(
        30,
        ge=0,
        json_schema_extra={"unit": "days"},
        description="A certificate of the remote's chain, or ours, that lasts for less is a warning.",
    )
    critical_days: int = Field(
        0, ge=0, json_schema_extra={"unit": "days"}, description="One that lasts for less than this is down."
    )
    expect_refusal: bool = Field(
        False,
        description="Up only if the remote refuses this client: for one without certificate, or with a wrong one.",
    )

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        days(self.warning_days, self.critical_days)
        return self


REASONS = {
    "certificate-expiring": "a certificate of the remote, or ours, expires too soon",
    "not-refused": "the remote lets in a client that it was to refuse",
}


def _protocol(params: MtlsParams) -> Callable[[Target], Protocol]:
    prepared = Prepared(params.terms(), params.warning_days, params.critical_days, params.expect_refusal)
    return lambda target: handshake(prepared, target.host, time())


def _script(params: MtlsParams) -> Exchange | str:
    if params.expect_refusal:
        return "a refusal is not what it looks for: take expect_refusal out"
    if params.critical_days:
        return (
            "it does not count the days of a certificate: take critical_days out, and let `lbkit check mtls` count them"
        )
    return Exchange()


@hookimpl
def lbkit_checks() -> list[CheckKind[MtlsParams]]:
    """The check mtls."""
    summary = "TLS handshake with a client certificate, and how long all certificates last"
    return [CheckKind("mtls", summary, MtlsParams, _protocol, REASONS, script=_script)]
