"""One association that asks for much, by pynetdicom, to see what a remote takes and how it answers: for `lbkit explain`.

pynetdicom has timeouts for single steps and no bound over an association: a remote that drips holds it for hours. So it
runs in a thread of its own, whose connection is cut at the deadline.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from time import monotonic

from pydicom import uid
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, A_RELEASE_RQ
from pynetdicom.presentation import PresentationContext

from lbkit_dicom_echo import pdu, words

FAREWELL = 0.2  # seconds, within the deadline, in which a connection that was cut ends its threads
NO_VERIFICATION = "not tried: Verification was not accepted"

# Our names, since those of PS3.6 fill a line: "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 …".
SYNTAXES = {
    uid.ImplicitVRLittleEndian: "Implicit VR LE",
    uid.ExplicitVRLittleEndian: "Explicit VR LE",
    uid.JPEGBaseline8Bit: "JPEG Baseline",
    uid.JPEGLosslessSV1: "JPEG Lossless",
    uid.JPEGLSLossless: "JPEG-LS Lossless",
    uid.JPEG2000Lossless: "JPEG 2000 Lossless",
    uid.RLELossless: "RLE Lossless",
}
IMAGES = tuple(SYNTAXES)
PLAIN = IMAGES[:2]

# What a load balancer in front of a cardiology archive passes on. Each pair of a service and a transfer syntax is a
# presentation context of its own, because an acceptor chooses one transfer syntax for each (PS3.8 section 9.3.3.2).
OFFER = (
    ("Verification", pdu.VERIFICATION, PLAIN),
    ("Ultrasound Image Storage", "1.2.840.10008.5.1.4.1.1.6.1", IMAGES),
    ("Ultrasound Multi-frame Image Storage", "1.2.840.10008.5.1.4.1.1.3.1", IMAGES),
    ("X-Ray Angiographic Image Storage", "1.2.840.10008.5.1.4.1.1.12.1", IMAGES),
    ("Secondary Capture Image Storage", "1.2.840.10008.5.1.4.1.1.7", IMAGES),
    ("12-lead ECG Waveform Storage", "1.2.840.10008.5.1.4.1.1.9.1.1", PLAIN),
    ("General ECG Waveform Storage", "1.2.840.10008.5.1.4.1.1.9.1.2", PLAIN),
    ("Hemodynamic Waveform Storage", "1.2.840.10008.5.1.4.1.1.9.2.1", PLAIN),
    ("Enhanced SR Storage", "1.2.840.10008.5.1.4.1.1.88.22", PLAIN),
    ("Encapsulated PDF Storage", "1.2.840.10008.5.1.4.1.1.104.1", PLAIN),
    ("Study Root Query/Retrieve - FIND", "1.2.840.10008.5.1.4.1.2.2.1", PLAIN),
    ("Study Root Query/Retrieve - MOVE", "1.2.840.10008.5.1.4.1.2.2.2", PLAIN),
    ("Modality Worklist - FIND", "1.2.840.10008.5.1.4.31", PLAIN),
    ("Storage Commitment Push", "1.2.840.10008.1.20.1", PLAIN),
    ("Modality Performed Procedure Step", "1.2.840.10008.3.1.2.3.3", PLAIN),
)


@dataclass(frozen=True, slots=True)
class Service:
    """What the remote says to one SOP class: the transfer syntaxes that it takes, and its words for the others."""

    name: str
    accepted: tuple[str, ...]
    refusal: str


@dataclass(slots=True)
class Negotiation:
    """What came of it; "" and None: it did not come so far. All text is safe on a terminal."""

    accepted: bool = False
    ending: str = ""  # what came instead of an acceptance
    application_context: str = ""
    class_uid: str = ""
    version: str = ""
    max_pdu: int | None = None  # bytes, 0: no limit
    services: tuple[Service, ...] = ()
    echo: str = ""
    release: str = ""
    ran_out: bool = False  # of time
    broke: bool = False  # pynetdicom did, over something that the remote sent


@dataclass(slots=True)
class _Heard:
    """What pynetdicom reports while it works; it ends when there is nothing more to wait for."""

    association: Association | None = None
    pdus: list[object] = field(default_factory=list)
    broke: bool = False
    turned_away: bool = False  # pynetdicom has aborted
    ended: threading.Event = field(default_factory=threading.Event)

    def on_request(self, event: evt.Event) -> None:
        self.association = event.assoc

    def on_pdu(self, event: evt.Event) -> None:
        self.pdus.append(event.pdu)

    def on_sent(self, event: evt.Event) -> None:
        self.turned_away = self.turned_away or isinstance(event.pdu, A_ABORT_RQ)

    def has(self, kind: type) -> bool:
        return any(isinstance(heard, kind) for heard in self.pdus)

    def instead(self) -> str:
        """In words, what the remote did instead of what it should have done."""
        last = self.pdus[-1] if self.pdus else None
        if isinstance(last, A_ASSOCIATE_RJ):
            return words.rejection(last.result or 0, last.source or 0, last.reason_diagnostic or 0)
        if isinstance(last, A_ABORT_RQ):
            return f"A-ABORT by {words.abort_reason(bytes((0, 0, last.source or 0, last.reason_diagnostic or 0)))}"
        return "pynetdicom, which asks this, takes it for invalid" if self.turned_away else "the connection ended"

    def end(self) -> None:
        """Cut the connection, and give the threads that served it a moment to end."""
        if self.association is None:
            return
        deadline = monotonic() + FAREWELL
        transport = self.association.dul.socket
        connection = transport.socket if transport else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.ended.wait(FAREWELL)
        for thread in (self.association, self.association.dul):
            if thread.is_alive():
                thread.join(max(0.0, deadline - monotonic()))
        if connection is not None and not self.association.dul.is_alive():
            connection.close()


def negotiate(
    address: tuple[str, int], calling: str, called: str, tls: tuple[ssl.SSLContext, str] | None, deadline: float
) -> Negotiation:
    """Associate, echo, release; ends at `deadline` (monotonic), and never raises for what the remote does."""
    found, heard = Negotiation(), _Heard()

    def work() -> None:
        try:
            with _SILENCE:  # of its own: on a busy machine it may end after we have gone
                _converse(found, heard, address, calling, called, tls, deadline - monotonic())
        except Exception:  # pynetdicom raises whatever a remote's odd answer happens to break in it
            heard.broke = True
        finally:
            heard.ended.set()

    with _SILENCE, _watching_threads(heard):
        threading.Thread(target=work, name="negotiation", daemon=True).start()
        in_time = heard.ended.wait(deadline - FAREWELL - monotonic())
        so_far = replace(found, ran_out=not in_time, broke=heard.broke)
        heard.end()
    return so_far


class _Silence:
    """What pynetdicom logs stands in the document. Its level of before comes back when the last one has left."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("pynetdicom")
        self._lock = threading.Lock()
        self._inside = 0
        self._level = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._level = self._logger.level
                self._logger.setLevel(logging.CRITICAL + 1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._logger.setLevel(self._level)


_SILENCE = _Silence()


@contextmanager
def _watching_threads(heard: _Heard) -> Iterator[None]:
    """A thread of pynetdicom that dies, and what pydicom warns of, are no business of the document's reader."""
    hook = threading.excepthook

    def on_death(args: threading.ExceptHookArgs) -> None:
        if heard.association is None or args.thread not in (heard.association, heard.association.dul):
            hook(args)
            return
        heard.broke = True
        heard.ended.set()  # who waits for a thread that has died waits in vain

    threading.excepthook = on_death
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        threading.excepthook = hook


def _converse(
    found: Negotiation,
    heard: _Heard,
    address: tuple[str, int],
    calling: str,
    called: str,
    tls: tuple[ssl.SSLContext, str] | None,
    left: float,
) -> None:
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = left
    association = entity.associate(
        *address,
        contexts=_contexts(),
        ae_title=called,
        max_pdu=pdu.MAX_PDU,
        tls_args=tls,
        evt_handlers=[
            (evt.EVT_REQUESTED, heard.on_request),
            (evt.EVT_PDU_RECV, heard.on_pdu),
            (evt.EVT_PDU_SENT, heard.on_sent),
        ],
    )
    _learn(found, association)
    if not association.is_established:
        found.ending = f"not accepted: {heard.instead()}"
        found.echo = NO_VERIFICATION if found.accepted else ""
        return
    found.echo = _echo(association, heard)
    if heard.has(A_RELEASE_RQ):  # pynetdicom's state machine dies when it then asks too
        found.release = "asked for by the remote, together with its response"
        return
    association.release()
    found.release = "confirmed (A-RELEASE-RP)" if heard.has(A_RELEASE_RP) else f"not confirmed: {heard.instead()}"


def _contexts() -> list[PresentationContext]:
    return [build_context(sop_class, syntax) for _, sop_class, syntaxes in OFFER for syntax in syntaxes]


def _learn(found: Negotiation, association: Association) -> None:
    answer = association.acceptor.primitive
    if answer is None or answer.result != 0:
        return
    remote = association.acceptor
    found.application_context = _text(answer.application_context_name)
    found.class_uid = _text(remote.implementation_class_uid)
    found.version = _text(remote.implementation_version_name)
    found.max_pdu = remote.maximum_length
    found.services = _services(association)
    found.accepted = True


def _services(association: Association) -> tuple[Service, ...]:
    contexts = [*association.accepted_contexts, *association.rejected_contexts]
    services = []
    for name, sop_class, _ in OFFER:
        answers = [context for context in contexts if context.abstract_syntax == sop_class]
        accepted = [syntax for context in answers if context.result == 0 for syntax in context.transfer_syntax]
        refusals = sorted({context.result or 0 for context in answers} - {0})
        services.append(
            Service(
                name,
                tuple(SYNTAXES.get(syntax) or _text(syntax) for syntax in accepted),
                ", ".join(words.CONTEXT_RESULTS.get(result, f"result {result}") for result in refusals),
            )
        )
    return tuple(services)


def _echo(association: Association, heard: _Heard) -> str:
    if all(context.abstract_syntax != pdu.VERIFICATION for context in association.accepted_contexts):
        return NO_VERIFICATION
    answer = association.send_c_echo()
    if "Status" not in answer:
        return f"no answer: {heard.instead()}"
    comment = _text(answer.get("ErrorComment"))
    said = f"{answer.Status:04X}H, {words.status_name(answer.Status)}"
    return f"{said} (“{comment}”)" if comment else said


def _text(value: object) -> str:
    return "" if value is None else pdu.text(str(value).encode("latin-1", "replace"))
