"""What `https-get` declares: its parameters, its reason codes, its protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lbkit.checks.kind import CheckKind, TlsParams
from lbkit.checks.script import HttpGet
from lbkit.hookspecs import hookimpl
from lbkit_https_get.exchange import exchange
from lbkit_https_get.terms import MOST_BODY, MOST_REDIRECTS, Terms, host_header, request_path

if TYPE_CHECKING:
    from lbkit.checks.kind import Protocol
    from lbkit.checks.target import Target


Status = Annotated[int, Field(ge=200, le=599)]


class HttpsGetParams(TlsParams):
    """HTTP or HTTPS GET: does the server answer with the status and the body that are expected?"""

    port: int | None = Field(443, ge=1, le=65535, description="Port of targets that name none.")
    tls: bool = Field(True, description="Speak TLS (HTTPS).")
    path: Annotated[str, AfterValidator(request_path)] = Field(
        "/api/health/", description="Path to ask for, with its query."
    )
    host: Annotated[str, AfterValidator(host_header)] | None = Field(
        None, description="Host header. [default: the server name or else the target's host, and the port if unusual]"
    )
    status: tuple[Status, ...] = Field(
        (200,), min_length=1, description="Expected status. May be given several times; each counts as up."
    )
    match: Literal["equals", "contains", "regex", "anything"] = Field(
        "equals",
        description="How the body is compared; equals ignores white space at both ends, regex finds a match anywhere.",
    )
    body: str = Field("allServicesOperative", description="Expected body, as --match says.")
    max_body: int = Field(
        65536, ge=1, le=MOST_BODY, description="The longest body that is read.", json_schema_extra={"unit": "B"}
    )
    redirects: int = Field(
        0, ge=0, le=MOST_REDIRECTS, description="How many redirects to follow, each to the same scheme, host and port."
    )

    @model_validator(mode="after")
    def _body_can_be_compared(self) -> HttpsGetParams:
        self.exchange_terms()
        return self

    def exchange_terms(self) -> Terms:
        """The same for `lbkit_https_get.exchange`."""
        return Terms(
            self.path,
            self.host or "",
            self.server_name or "",
            self.status,
            self.match,
            self.body,
            self.max_body,
            self.redirects,
            self.tls,
        )


REASONS = {
    "not-http": "what answers does not speak HTTP/1.1",
    "protocol-error": "the remote breaks the HTTP standard",
    "http-status": "the status is not the one expected",
    "redirected": "the remote redirects, and the check does not follow there",
    "body": "the status is right, and the body is not the one expected",
    "body-too-large": "the body is longer than what is read of it",
    "content-encoding": "the body is compressed, though we asked for it as it is",
}


def _protocol(params: HttpsGetParams) -> Callable[[Target], Protocol]:
    terms = params.exchange_terms()
    return lambda target: exchange(terms, target.host, target.port)


def _script(params: HttpsGetParams) -> HttpGet | str:
    if params.redirects:
        return "redirects are not followed: set redirects = 0, and path to where they lead"
    terms = params.exchange_terms()
    return HttpGet(params.path, terms.host_for, params.status, params.match, params.body)


@hookimpl
def lbkit_checks() -> list[CheckKind[HttpsGetParams]]:
    """The check https-get."""
    return [CheckKind("https-get", "HTTP(S) GET: status and body", HttpsGetParams, _protocol, REASONS, script=_script)]
