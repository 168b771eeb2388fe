"""`lbkit explain c-echo` against real servers, ports without one, and every fault of the demo."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from interop.remotes import Remote
from interop.secured import Secured

from lbkit.checks.explanation import Explanation
from lbkit.checks.reasons import REASONS
from lbkit.checks.target import Target
from lbkit.testing import Listener, Script
from lbkit_demo import pdus
from lbkit_demo.acts import EVERY_BYTE, accept, answer, hear_echo, hear_release, hear_request, in_pieces, say
from lbkit_demo.faults import FAULTS, Fault, by_name
from lbkit_demo.remote import Act
from lbkit_demo.remote import Remote as Scripted
from lbkit_dicom_echo import negotiation
from lbkit_dicom_echo.advice import ADVISED
from lbkit_dicom_echo.explain import EXPLAINER
from lbkit_dicom_echo.negotiation import OFFER
from lbkit_dicom_echo.plugin import REASONS as ECHO_REASONS

Listen: TypeAlias = Callable[[Script], Listener]
SERVICES = "Services, and the transfer syntaxes that it takes for them"
PLAIN = "Implicit VR LE, Explicit VR LE"
GRACE = 0.3  # seconds


def explain(target: str, **params: Any) -> Explanation:
    return EXPLAINER.explain(Target.parse(target), EXPLAINER.params.model_validate(params))


def rows(explanation: Explanation, title: str) -> dict[str, str]:
    """The section whose title begins so; nothing, if there is none."""
    return next((dict(s.rows) for s in explanation.sections if s.title.startswith(title)), {})


# --- what real servers negotiate ----------------------------------------------------------------------------------------


def test_a_real_server_is_told_from_its_check_to_its_release(remote: Remote) -> None:
    found = explain(remote.target, aec=[remote.called])
    assert rows(found, "Check")["verdict"].startswith(f"up c-echo {remote.target} ")
    assert rows(found, "AE titles") == {f"LOADBALANCER → {remote.called}": "answers C-ECHO with Success"}
    who = rows(found, "Remote")
    assert who["implementation version"].startswith(remote.version)
    assert who["implementation class UID"].startswith(remote.class_uid)
    assert who["maximum PDU length"].startswith(f"{remote.max_pdu} bytes")
    assert who["application context"] == "1.2.840.10008.3.1.1.1 (DICOM)"
    assert rows(found, "Association") == {
        f"request with {len(OFFER)} services": "accepted",
        "C-ECHO": "0000H, Success",
        "release": "confirmed (A-RELEASE-RP)",
    }
    assert rows(found, SERVICES)["Verification"] == PLAIN
    assert found.advice == [f"Nothing has to change: it is up with --aet 'LOADBALANCER' --aec '{remote.called}'."]


def test_the_maker_is_told_from_the_class_uid(storescp: Remote, pynetdicom_server: Remote) -> None:
    uids = [
        rows(explain(remote.target), "Remote")["implementation class UID"] for remote in (storescp, pynetdicom_server)
    ]
    assert "(dcmtk" in uids[0]
    assert "(pynetdicom)" in uids[1]


def test_services_are_told_with_every_transfer_syntax_that_is_taken(storescp: Remote, orthanc_lax: Remote) -> None:
    plain, compressed = (rows(explain(remote.target), SERVICES) for remote in (storescp, orthanc_lax))
    assert list(plain) == [name for name, _, _ in OFFER]
    assert plain["Ultrasound Multi-frame Image Storage"] == PLAIN
    assert plain["Study Root Query/Retrieve - FIND"] == "refused: abstract-syntax-not-supported (provider rejection)"
    assert compressed["Ultrasound Multi-frame Image Storage"] == (
        f"{PLAIN}, JPEG Baseline, JPEG Lossless, JPEG-LS Lossless, JPEG 2000 Lossless, RLE Lossless"
    )
    assert compressed["Study Root Query/Retrieve - FIND"] == PLAIN


def test_the_titles_that_work_are_found_among_those_given(orthanc_strict: Remote) -> None:
    found = explain(orthanc_strict.target, aet=["STRANGER", "LOADBALANCER"], aec=["LB-SCP", "ORTHANC"])
    titles = rows(found, "AE titles")
    assert list(titles) == [
        "STRANGER → LB-SCP",
        "STRANGER → ORTHANC",
        "LOADBALANCER → LB-SCP",
        "LOADBALANCER → ORTHANC",
    ]
    rejection = "A-ASSOCIATE-RJ: rejected-permanent, DICOM UL service-user, called-AE-title-not-recognized"
    assert titles["STRANGER → LB-SCP"] == titles["LOADBALANCER → LB-SCP"] == rejection
    assert "A-ABORT" in titles["STRANGER → ORTHANC"]
    assert titles["LOADBALANCER → ORTHANC"] == "answers C-ECHO with Success"
    assert rows(found, "Association as LOADBALANCER → ORTHANC")["C-ECHO"] == "0000H, Success"
    assert found.advice[0] == "Here: give --aet 'LOADBALANCER' --aec 'ORTHANC'; it is up with these."
    assert any("On the remote: allow the AE title STRANGER to verify" in sentence for sentence in found.advice)


def test_a_wrong_called_title_is_advised_on(orthanc_strict: Remote) -> None:
    found = explain(orthanc_strict.target)
    assert found.advice == [
        "Here: give the AE title that the remote is configured with (--aec); it is not LB-SCP.",
        "On the remote: configure it with the AE title LB-SCP.",
    ]
    assert not rows(found, "Association"), "a rejected association shows nothing"


def test_a_wrong_calling_title_is_advised_on() -> None:
    with by_name("rejected-calling-title").serve() as (host, port):
        found = explain(f"{host}:{port}")
    assert found.advice[0] == ("On the remote: add the AE title LOADBALANCER to the calling AE titles that it allows.")


def test_a_caller_that_may_not_verify_sees_what_was_negotiated_and_the_abort(orthanc_strict: Remote) -> None:
    found = explain(orthanc_strict.target, aet=["STRANGER"], aec=["ORTHANC"])
    assert rows(found, "Association")["C-ECHO"].startswith("no answer: A-ABORT by the DICOM UL service-")
    assert rows(found, "Remote")["implementation version"].startswith("OFFIS_DCMTK_")
    assert any("DicomAlwaysAllowEcho" in sentence for sentence in found.advice)


def test_it_explains_inside_tls(storescp_tls: Secured) -> None:
    found = explain(storescp_tls.remote.target, **storescp_tls.options)
    assert rows(found, "Check")["TLS"].startswith("TLSv1.")
    assert rows(found, "Association")["C-ECHO"] == "0000H, Success"


def test_a_client_certificate_that_is_missing_is_advised_on(storescp_tls: Secured) -> None:
    found = explain(storescp_tls.remote.target, tls=True, ca_file=storescp_tls.options["ca_file"])
    assert found.advice[0].startswith("Here: give a client certificate that the remote trusts (--cert-file")


def test_a_host_name_is_explained(storescp: Remote) -> None:
    found = explain(f"localhost:{storescp.port}")
    assert rows(found, "Check")["address"] == "127.0.0.1"
    assert rows(found, "Association")["C-ECHO"] == "0000H, Success"


def test_the_command_prints_it(storescp: Remote) -> None:
    command = [str(Path(sys.executable).with_name("lbkit")), "explain", "c-echo", storescp.target, "--json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    found = json.loads(run.stdout)
    assert found["title"] == f"DICOM at {storescp.target}"
    assert found["advice"][0].startswith("Nothing has to change")
    assert run.stderr == ""


# --- where there is no DICOM server -------------------------------------------------------------------------------------


def test_a_refused_port_is_explained() -> None:
    with by_name("refused").serve() as (host, port):
        found = explain(f"{host}:{port}")
    assert [section.title for section in found.sections] == ["Check", "AE titles (calling → called)"]
    assert "connection refused" in rows(found, "Check")["verdict"]
    assert found.advice[0] == f"On the remote: start its DICOM service, and let it listen on port {port}."


def test_a_silent_port_is_explained_in_time_and_no_other_titles_are_tried() -> None:
    with by_name("silent-at-associate").serve() as (host, port):
        start = time.monotonic()
        found = explain(f"{host}:{port}", timeout=0.6, aec=["LB-SCP", "OTHER"])
        assert time.monotonic() - start < 0.6 + GRACE
    assert rows(found, "AE titles")["LOADBALANCER → OTHER"].startswith("not tried")
    assert found.advice == ["On the remote: restart the service; it takes connections and does not serve them."]


def test_a_web_server_is_explained() -> None:
    with by_name("http").serve() as (host, port):
        found = explain(f"{host}:{port}")
    assert "a web server answers here" in rows(found, "Check")["verdict"]
    assert found.advice == ["Here: Check the port."]


# --- what breaks or hangs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_fault_makes_it_raise_or_be_late_or_leaves_it_without_advice(
    fault: Fault, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with fault.serve() as (host, port):
        start = time.monotonic()
        found = explain(f"{host}:{port}", timeout=0.8)
        took = time.monotonic() - start
    assert took < 0.8 + GRACE
    assert found.advice
    assert all(value.isprintable() for section in found.sections for row in section.rows for value in row)
    assert capfd.readouterr() == ("", "")
    assert not [r for r in caplog.records if r.name.startswith("pynetdicom") and r.threadName == "negotiation"]


class Moody:
    """A server that plays one script to its first client, which is the check, and another to the second."""

    def __init__(self, first: tuple[Act, ...], second: tuple[Act, ...]) -> None:
        self._scripts = [first, second]

    def __iter__(self) -> Iterator[Act]:
        return iter(self._scripts.pop(0))

    def __len__(self) -> int:
        return len(self._scripts)


HEALTHY: tuple[Act, ...] = (hear_request, accept(), hear_echo, answer(), hear_release, say(pdus.release_rp()))


@pytest.mark.parametrize(
    ("second", "section", "row", "told"),
    [
        ((hear_request, in_pieces(EVERY_BYTE, 0.1), accept()), "Association", "C-ECHO", "given up"),
        ((hear_request, say(pdus.HEADER.pack(2, 0xFFFFFFFF))), "Association", "C-ECHO", "given up"),
        ((hear_request, accept(), hear_echo), "Association", "C-ECHO", "given up"),
        ((hear_request, accept(), hear_echo), "Remote", "implementation version", "LBKIT_DEMO"),
        ((*HEALTHY[:4], hear_release), "Association", "release", "given up"),
        ((hear_request, say(pdus.associate_rj(2, 3, 2))), "Association", "request", "rejected-transient"),
        ((hear_request, say(pdus.abort(2, 2))), "Association", "request", "A-ABORT by the DICOM UL service-provider"),
        ((hear_request, say(b"\xff" * 40)), "Association", "request", "takes it for invalid"),
    ],
    ids=["drips", "4-gib", "hangs-at-echo", "hangs-at-echo-who", "hangs-at-release", "rejects", "aborts", "noise"],
)
def test_a_server_that_turns_bad_after_the_check_is_told_in_time(
    second: tuple[Act, ...], section: str, row: str, told: str
) -> None:
    server = Scripted(Moody(HEALTHY, second))  # type: ignore[arg-type]
    try:
        start = time.monotonic()
        found = explain("{}:{}".format(*server.address), timeout=1.2)
        assert time.monotonic() - start < 1.2 + GRACE
    finally:
        server.stop()
    told_there = next(value for name, value in rows(found, section).items() if name.startswith(row))
    assert told in told_there
    _no_thread_is_left()


def _no_thread_is_left() -> None:
    deadline = time.monotonic() + 5
    while left := [t.name for t in threading.enumerate() if t.name.startswith(("negotiation", "RequestorThread"))]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def who_says(version: bytes, comment: str) -> Script:
    """A server that gives this implementation version name, and answers the echo with 0110H and this comment."""

    def script(client: socket.socket) -> None:
        request = client.recv(65536)
        contexts = b"".join(pdus.context_item(number) for number in pdus.proposed_contexts(request))
        uid = pdus.item(0x52, pdus.IMPLEMENTATION.encode())
        user = pdus.item(0x50, pdus.item(0x51, bytes(4)) + uid + pdus.item(0x55, version))
        client.sendall(pdus.associate_ac(request, contexts + user))
        heard = client.recv(65536)
        if heard[0] == pdus.P_DATA:
            context, message = pdus.context_and_message_id(heard)
            said = pdus.echo_response(message, 0x0110, comment=comment)
            client.sendall(pdus.p_data([pdus.pdv(context, pdus.COMMAND | pdus.LAST, said)]))
            client.recv(65536)
            client.sendall(pdus.release_rp())
            client.recv(1)

    return script


def test_what_a_remote_says_reaches_the_terminal_without_its_escape_sequences(listener: Listen) -> None:
    found = explain(listener(who_says(b"OK", "\x1b[2J{aet}%s")).target)
    assert rows(found, "Association")["C-ECHO"] == "0110H, Processing failure (“?[2J{aet}%s”)"
    assert rows(found, "Remote")["maximum PDU length"].startswith("0: ")


def test_a_version_name_that_pynetdicom_breaks_over_is_told_all_the_same(listener: Listen) -> None:
    found = explain(listener(who_says(b"\x1b[31mRED\x07", "")).target)
    assert rows(found, "Remote")["implementation version"] == "?[31mRED?"
    (request,) = (value for name, value in rows(found, "Association").items() if name.startswith("request"))
    assert request == "not accepted: pynetdicom, which asks this, takes it for invalid"


def test_there_is_advice_for_every_reason() -> None:
    assert (set(REASONS) | set(ECHO_REASONS)) - {"ok"} == ADVISED


def test_pynetdicom_is_silent_until_the_last_conversation_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    logger, go_on, over = logging.getLogger("pynetdicom"), threading.Event(), threading.Event()
    before = logger.level

    def late(*_: object) -> None:
        go_on.wait(10)
        over.set()

    monkeypatch.setattr(negotiation, "_converse", late)
    negotiation.negotiate(("127.0.0.1", 1), "A", "B", None, time.monotonic() + 0.3)
    assert logger.level > logging.CRITICAL
    go_on.set()
    assert over.wait(10)
    for _ in range(100):
        if logger.level == before:
            break
        time.sleep(0.05)
    assert logger.level == before


def test_pynetdicom_logs_as_before_when_it_has_ended(storescp: Remote) -> None:
    logger = logging.getLogger("pynetdicom")
    before = logger.level
    explain(storescp.target)
    assert logger.level == before
