"""What a check declares, and a check made ready to run. Plugins import this; see `lbkit.checks.connect` for an example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated, Any, Generic, Self, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lbkit.checks import blocking, tls
from lbkit.checks.context import Terms
from lbkit.checks.conversation import Outcome
from lbkit.checks.result import Result, Status
from lbkit.checks.script import Script
from lbkit.checks.target import Target
from lbkit.durations import seconds
from lbkit.errors import Misuse

Protocol: TypeAlias = Generator[tuple[str, bytes], bytes, Outcome]


class Aside(ABC):
    """A check that is no conversation over one TCP connection. Subclassed by plugins; many run in threads of their own."""

    @abstractmethod
    def target(self, text: str) -> Target:
        """Read a target. Raises Misuse."""

    @abstractmethod
    def run(self, target: Target, steps: dict[str, float], abandoned: Callable[[], bool]) -> Outcome:
        """Block until the verdict, for `params.timeout` at most; add each step's time in seconds to `steps`.

        Once `abandoned()` nobody waits for the verdict: end soon, and leave nothing behind. Raises CannotRun.
        """


def _seconds(given: Any) -> Any:
    return seconds(given) if isinstance(given, str) and given[-1:].isalpha() else given


Seconds = Annotated[
    float, BeforeValidator(_seconds), Field(gt=0, le=3600, allow_inf_nan=False, json_schema_extra={"unit": "s"})
]


class Params(BaseModel):
    """The parameters of a check: a flat model. Its fields are the options of `lbkit check` and the keys of a site file.

    Secrets are `*_file` paths, never values. A unit goes into `json_schema_extra={"unit": "s"}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int | None = Field(None, ge=1, le=65535, description="Port of targets that name none.")
    timeout: Seconds = Field(5.0, description="The whole check, from name lookup to verdict, ends within this time.")


class TlsTerms(Params):
    """The parameters of a check that always runs inside TLS."""

    ca_file: str | None = Field(
        None, description="CAs that the remote's certificate may be of, PEM. [default: system's]"
    )
    crl_file: str | None = Field(
        None,
        description="Revocation lists that no certificate of the remote's chain may be on, one for each CA of it, PEM.",
    )
    cert_file: str | None = Field(None, description="Client certificate and its chain, PEM; or a PFX.")
    key_file: str | None = Field(
        None, description="Key of the client certificate, PEM. [default: in the certificate's file]"
    )
    key_password_file: str | None = Field(
        None, description="File whose first line is the password of the key or of the PFX."
    )
    server_name: str | None = Field(None, description="Name for SNI and verification. [default: the target's host]")
    verify: bool = Field(True, description="Verify the remote's certificate and name.")
    verify_name: bool = Field(True, description="Verify the name too, not the certificate alone.")

    def terms(self) -> Terms:
        """The same for `lbkit.checks.context`."""
        return Terms(**self.model_dump(include=_TERMS, exclude_none=True))


_TERMS = TlsTerms.model_fields.keys() - Params.model_fields.keys()


class TlsParams(TlsTerms):
    """The parameters of a check that can run inside TLS."""

    tls: bool = Field(False, description="Speak TLS.")

    @model_validator(mode="after")
    def _needs_tls(self) -> Self:
        for name in () if self.tls else sorted(_TERMS):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is given without tls")
        return self


P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class CheckKind(Generic[P]):
    """A kind of health check.

    `protocol(params)` prepares what all targets share and returns what makes one generator per target, or an Aside; it
    raises Misuse for parameters that can't be used. `reasons`: the codes it adds to `lbkit.checks.reasons`. `explain`:
    `module:name` of an `lbkit.checks.explanation.Explainer`, loaded only for `lbkit explain`. `script(params)`: the check as
    an engine can run it by itself (`lbkit.checks.script`), or in words which of these parameters no engine can.
    """

    name: str
    summary: str
    params: type[P]
    protocol: Callable[[P], Callable[[Target], Protocol] | Aside]
    reasons: Mapping[str, str] = field(default_factory=dict)
    explain: str | None = None
    script: Callable[[P], Script | str] | None = None

    def prepare(self, given: Mapping[str, Any]) -> Check:
        """A check ready to run. Raises Misuse with every parameter that is wrong."""
        params = validated(self.name, self.params, given)
        return Check(self.name, params, self.protocol(params), _tls_layer(params))


def validated(name: str, model: type[P], given: Mapping[str, Any]) -> P:
    """The parameters of `name`. Raises Misuse with every one that is wrong: `c-echo: aet: …; timeout: …`."""
    try:
        return model.model_validate(given)
    except ValidationError as e:
        wrong = [
            ": ".join((*map(str, problem["loc"]), problem["msg"].removeprefix("Value error, ")))
            for problem in e.errors(include_url=False, include_input=False)
        ]
        raise Misuse(f"{name}: {'; '.join(wrong)}.") from None


def _tls_layer(params: Params) -> blocking.Tls | None:
    if not isinstance(params, TlsParams) or not params.tls:
        return None
    return tls.layer(params.terms())


class Check:
    """A kind of check with its parameters, for any number of targets. Equal ones are one check to `Checker`."""

    __slots__ = ("_hash", "aside", "kind", "params", "protocol", "timeout", "tls")

    protocol: Callable[[Target], Protocol]  # where there is no `aside`

    def __init__(
        self, kind: str, params: Params, protocol: Callable[[Target], Protocol] | Aside, tls: blocking.Tls | None
    ) -> None:
        self.kind = kind
        self.params = params
        self.aside = protocol if isinstance(protocol, Aside) else None
        if not isinstance(protocol, Aside):
            self.protocol = protocol
        self.tls = tls
        self.timeout = params.timeout
        self._hash = hash((kind, params))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Check) and (self.kind, self.params) == (other.kind, other.params)

    def target(self, text: str) -> Target:
        """Read a target as this check takes it. Raises Misuse."""
        if self.aside is not None:
            return self.aside.target(text)
        return Target.parse(text, self.params.port)

    def run(self, target: Target) -> Result:
        """Run once and block until the verdict. Raises CannotRun."""
        if self.aside is not None:
            return self.run_aside(self.aside, target, lambda: False)
        found = blocking.run(target.host, target.port, self.timeout, self.protocol(target), self.tls)
        if found.address and found.address != target.host:
            found.outcome.details["address"] = found.address
        return self.result(target, found.outcome, found.duration, found.steps)

    def run_aside(self, aside: Aside, target: Target, abandoned: Callable[[], bool]) -> Result:
        """The same for a check that is no conversation, until it is abandoned."""
        start = monotonic()
        steps: dict[str, float] = {}
        outcome = aside.run(target, steps, abandoned)
        return self.result(target, outcome, monotonic() - start, steps)

    def result(self, target: Target, outcome: Outcome, duration: float, steps: dict[str, float]) -> Result:
        """A driver's outcome as a Result."""
        status: Status = "up" if outcome.up else "down"
        return Result(
            self.kind,
            str(target),
            status,
            outcome.step,
            outcome.reason,
            outcome.message,
            duration,
            steps,
            outcome.details,
        )
