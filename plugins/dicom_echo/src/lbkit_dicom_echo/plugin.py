"""What `c-echo` declares: its parameters, its reason codes, its protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from lbkit.checks.kind import CheckKind, TlsParams
from lbkit.hookspecs import hookimpl
from lbkit_dicom_echo.echo import Terms, ae_title, status_code, verification
from lbkit_dicom_echo.script import script

if TYPE_CHECKING:
    from lbkit.checks.kind import Protocol
    from lbkit.checks.script import Exchange
    from lbkit.checks.target import Target


AeTitle = Annotated[str, AfterValidator(ae_title)]
Status = Annotated[
    int,
    BeforeValidator(
        lambda given: status_code(given) if isinstance(given, str) else given, json_schema_input_type=int | str
    ),
    Field(ge=0, le=0xFFFF),
]


class EchoParams(TlsParams):
    """DICOM verification (C-ECHO): does the server associate, and answer an echo with Success?"""

    port: int | None = Field(104, ge=1, le=65535, description="Port of targets that name none.")
    aet: AeTitle = Field("LOADBALANCER", description="Our AE title (calling).")
    aec: AeTitle = Field("LB-SCP", description="The remote's AE title (called).")
    accept_status: tuple[Status, ...] = Field(
        (), description="A status that counts as up besides Success, such as 0122H. May be given several times."
    )
    busy: Literal["down", "up"] = Field("down", description="What a transient rejection counts as.")


REASONS = {
    "not-dicom": "what answers is no DICOM service",
    "protocol-error": "the remote breaks the DICOM standard",
    "rejected": "the association was rejected for good (A-ASSOCIATE-RJ, rejected-permanent)",
    "rejected-transient": "the association was rejected for now: the server is busy (A-ASSOCIATE-RJ, rejected-transient)",
    "context-rejected": "the association stands, and the remote does not accept Verification in it",
    "aborted": "the remote aborted the association (A-ABORT)",
    "released-early": "the remote asked for release instead of answering the echo",
    "echo-status": "the echo was answered with a status other than Success",
}


def _terms(params: EchoParams) -> Terms:
    return Terms(params.aet, params.aec, params.accept_status, params.busy == "up")


def _protocol(params: EchoParams) -> Callable[[Target], Protocol]:
    terms = _terms(params)
    return lambda target: verification(terms)


def _script(params: EchoParams) -> Exchange | str:
    return script(_terms(params))


@hookimpl
def lbkit_checks() -> list[CheckKind[EchoParams]]:
    """The check c-echo."""
    summary, explain = "DICOM verification: associate, C-ECHO, release", "lbkit_dicom_echo.explain:EXPLAINER"
    return [CheckKind("c-echo", summary, EchoParams, _protocol, REASONS, explain, _script)]
