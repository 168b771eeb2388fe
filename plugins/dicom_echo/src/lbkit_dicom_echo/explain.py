"""`lbkit explain c-echo`: all that a remote negotiates, for a human, and what to change on which side."""

from __future__ import annotations

import ssl
from itertools import product
from time import monotonic
from typing import Any

from pydantic import Field

from lbkit.checks.context import configure
from lbkit.checks.explanation import Explainer, Explanation, Section
from lbkit.checks.kind import Seconds, TlsParams
from lbkit.checks.result import milliseconds
from lbkit.checks.target import Target
from lbkit_dicom_echo import pdu
from lbkit_dicom_echo.advice import advice
from lbkit_dicom_echo.attempts import Attempt, most_promising, try_titles
from lbkit_dicom_echo.negotiation import OFFER, Negotiation, negotiate
from lbkit_dicom_echo.plugin import AeTitle

# Roots of implementation class UIDs by which a remote gives away what it is made with.
MAKERS = {
    "1.2.276.0.7230010.3.": "dcmtk, which Orthanc is built on too",
    "1.2.826.0.1.3680043.9.3811.": "pynetdicom",
    "1.2.40.0.13.1.": "dcm4che",
    "1.2.840.113619.": "GE",
    "1.3.6.1.4.1.5962.": "PixelMed",
    "1.3.12.2.1107.": "Siemens",
    "1.3.46.670589.": "Philips",
}


class ExplainParams(TlsParams):
    """All that a DICOM server negotiates: which AE titles and services it takes, and what to change on which side."""

    port: int | None = Field(104, ge=1, le=65535, description="Port of targets that name none.")
    timeout: Seconds = Field(10.0, description="All of it ends within this time.")
    aet: tuple[AeTitle, ...] = Field(
        ("LOADBALANCER",), min_length=1, description="Our AE title (calling). Several: each is tried with each --aec."
    )
    aec: tuple[AeTitle, ...] = Field(
        ("LB-SCP",), min_length=1, description="The remote's AE title (called). May be given several times."
    )


def explain(target: Target, params: ExplainParams) -> Explanation:
    """Check with every pair of AE titles, then negotiate with the pair that got furthest.

    The checks have half of the time, so that a remote that hangs in its echo still shows what it negotiates.
    Raises Misuse and CannotRun as the check does; never for what the remote does.
    """
    deadline = monotonic() + params.timeout
    pairs = list(product(params.aet, params.aec))
    attempts = try_titles(target, params.model_dump(include=_TLS), pairs, deadline - params.timeout / 2)
    sections = [_verdict(attempts[0]), _titles(attempts, pairs)]
    found = None
    if best := most_promising(attempts):
        address = (best.result.details.get("address", target.host), target.port)
        found = negotiate(address, best.calling, best.called, _tls(target, params), deadline)
        sections += [_remote(best, found), _association(best, found, params.timeout), _services(found)]
    shown = [section for section in sections if section.rows]
    return Explanation(f"DICOM at {target}", shown, advice(target, attempts, found))


EXPLAINER = Explainer(ExplainParams, explain)

_TLS = set(TlsParams.model_fields) - {"port", "timeout"}


def _tls(target: Target, params: ExplainParams) -> tuple[ssl.SSLContext, str] | None:
    """For pynetdicom, which wants an `ssl.SSLContext`, what the check itself uses."""
    if not params.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    configure(context, params.terms())
    return context, (params.server_name or target.host).removesuffix(".")


def _verdict(attempt: Attempt) -> Section:
    result = attempt.result
    rows = [("verdict", result.line())]
    rows.append(("steps", ", ".join(f"{step} {milliseconds(seconds)}" for step, seconds in result.steps.items())))
    if address := result.details.get("address"):
        rows.append(("address", address))
    if tls := result.details.get("tls"):
        rows.append(("TLS", f"{tls['version']}, {tls['cipher']}"))
    return Section("Check", rows)


def _titles(attempts: list[Attempt], pairs: list[tuple[str, str]]) -> Section:
    rows = [attempt.row() for attempt in attempts]
    rows += [
        (f"{calling} → {called}", "not tried, for what came of the others") for calling, called in pairs[len(rows) :]
    ]
    return Section("AE titles (calling → called)", rows)


def _remote(best: Attempt, found: Negotiation) -> Section:
    """Rather what our own check has read: pynetdicom breaks over a version name that the standard does not allow."""
    if not found.accepted and "max_pdu" not in best.result.details:
        return Section("Remote", [])
    seen: dict[str, Any] = {
        "implementation_version": found.version,
        "implementation_class_uid": found.class_uid,
        "max_pdu": found.max_pdu,
    }
    seen |= best.result.details
    uid = seen["implementation_class_uid"]
    maker = next((f" ({name})" for root, name in MAKERS.items() if uid.startswith(root)), "")
    rows = [
        ("implementation version", seen["implementation_version"] or "not given"),
        ("implementation class UID", f"{uid}{maker}" if uid else "not given"),
        ("maximum PDU length", _max_pdu(seen["max_pdu"])),
    ]
    if context := found.application_context:
        rows.append(("application context", f"{context}{' (DICOM)' if context == pdu.APPLICATION_CONTEXT else ''}"))
    return Section("Remote", rows)


def _max_pdu(length: int | None) -> str:
    if length is None:
        return "not given"
    if length == 0:
        return "0: it takes PDUs of any length"
    return f"{length} bytes: what is longer, images above all, is sent to it in several P-DATA-TF PDUs"


def _association(best: Attempt, found: Negotiation, timeout: float) -> Section:
    nothing = "not reached"
    if found.ran_out:
        nothing = f"no answer that pynetdicom understands within {timeout:g} s; given up"
    elif found.broke:
        nothing = "not known: pynetdicom, which asks this, breaks over what the remote sends"
    request = "accepted" if found.accepted else found.ending or nothing
    return Section(
        f"Association as {best.calling} → {best.called}",
        [
            (f"request with {len(OFFER)} services", request),
            ("C-ECHO", found.echo or nothing),
            ("release", found.release or nothing),
        ],
    )


def _services(found: Negotiation) -> Section:
    rows = [(service.name, ", ".join(service.accepted) or f"refused: {service.refusal}") for service in found.services]
    return Section("Services, and the transfer syntaxes that it takes for them", rows)
