"""`mtls` without sockets: bytes in any pieces and any bytes, the clock, what is told of a certificate, its parameters."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.mutual import JUDGED, NOW, VERSIONS, identity
from unit.tls_remote import Remote

from lbkit.checks.context import Terms
from lbkit.checks.conversation import Conversation
from lbkit.checks.reasons import REASONS
from lbkit.errors import Misuse
from lbkit.testing import ThrowawayCA
from lbkit_mtls.certificates import told
from lbkit_mtls.handshake import handshake
from lbkit_mtls.plugin import lbkit_checks
from lbkit_mtls.prepared import Prepared

(MTLS,) = lbkit_checks()


@pytest.fixture
def ca(throwaway_ca):
    return throwaway_ca


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def version(request):
    return request.param


@pytest.fixture
def strict(ca, version):
    """The context of a server of that version, which wants client certificates of the CA."""
    context = ca.server_context(wants_client=True)
    context.minimum_version = context.maximum_version = version
    return context


# --- protocols, driven by bytes ---------------------------------------------------------------------------------------


def drive(protocol, remote, piece=None):
    """Let a protocol and the remote talk, its answers cut into pieces; the outcome, if there is one."""
    conversation = Conversation(protocol, {})
    to_send = conversation.begin(0.0)
    while to_send:
        answer = remote.take(to_send)
        to_send = b""
        for i in range(0, len(answer), piece or len(answer) or 1):
            if conversation.outcome is None:
                to_send += conversation.receive(answer[i : i + (piece or len(answer))], 0.0) or b""
    if conversation.outcome is not None:
        remote.take(conversation.farewell())
    return conversation.outcome


def terms(ca, files=None):
    return Prepared(Terms(ca_file=ca.ca_file, **(identity(files) if files else {})), 30, 0, False)


@pytest.mark.parametrize("piece", [1, 2, 7, 100, None])
def test_it_is_the_same_however_the_network_cuts_the_bytes(ca, strict, version, piece):
    remote = Remote(strict, answer=b"")
    outcome = drive(handshake(terms(ca, ca.client), "127.0.0.1", NOW.timestamp()), remote, piece)
    assert (outcome.up, outcome.step) == (True, JUDGED[version])
    assert (remote.closed, remote.error) == (True, None)
    outcome = drive(handshake(terms(ca), "127.0.0.1", NOW.timestamp()), Remote(strict), piece)
    assert (outcome.up, outcome.step, outcome.reason) == (False, JUDGED[version], "client-certificate-refused")


def test_the_clock_is_the_one_that_is_passed_in(ca, strict):
    later = NOW + timedelta(days=365)
    outcomes = [
        drive(handshake(terms(ca, ca.client), "127.0.0.1", when.timestamp()), Remote(strict, answer=b""))
        for when in (NOW, later)
    ]
    first, second = ([one["days_left"] for one in outcome.details["certificates"]] for outcome in outcomes)
    assert [a - b for a, b in zip(first, second, strict=True)] == [365, 365, 365]


def test_a_certificate_of_ours_that_python_cannot_decode_is_shown_and_told_as_unknown(ca, strict, monkeypatch):
    """Stood for by the failure itself: OpenSSL takes what Python's decoder does not, such as odd bytes in a name."""

    def fail(path):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr("_ssl._test_decode_cert", fail)
    outcome = drive(handshake(terms(ca, ca.client), "127.0.0.1", NOW.timestamp()), Remote(strict, answer=b""))
    assert outcome.up
    ours = outcome.details["certificates"][-1]
    assert (ours["whose"], ours["subject"], ours["days_left"]) == ("client", "unknown", None)


def test_a_remote_that_it_does_not_trust_is_told_so_in_tls(ca, tmp_path):
    remote = Remote(ThrowawayCA(tmp_path).server_context())
    outcome = drive(handshake(terms(ca), "127.0.0.1", NOW.timestamp()), remote)
    assert (outcome.up, outcome.reason) == (False, "certificate-untrusted")
    assert "UNKNOWN_CA" in str(remote.error).upper().replace(" ", "_")


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_that_a_remote_sends_makes_it_fail(ca, data):
    """Damage at any place of what a real server sends, after which it ends the connection, resets it, or is silent."""
    context = ca.server_context(wants_client=True)
    context.maximum_version = data.draw(st.sampled_from(VERSIONS))
    at, piece = data.draw(st.integers(0, 3000)), data.draw(st.binary(min_size=1, max_size=30))
    seen = [0]

    def change(answer):
        place = at - seen[0]
        seen[0] += len(answer)
        return answer[:place] + piece + answer[place + len(piece) :] if 0 <= place < len(answer) else answer

    protocol = handshake(terms(ca, ca.client), "127.0.0.1", NOW.timestamp())
    conversation = Conversation(protocol, {})
    remote = Remote(context)
    to_send = conversation.begin(0.0)
    while to_send:
        answer = change(remote.take(to_send))
        to_send = conversation.receive(answer, 0.0) if answer else None
    if conversation.outcome is None:
        conversation.receive(b"", 0.0)
    assert conversation.outcome is not None
    assert conversation.outcome.message.isprintable()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=2000))
def test_no_bytes_at_all_make_it_fail(ca, data):
    conversation = Conversation(handshake(terms(ca), "127.0.0.1", NOW.timestamp()), {})
    conversation.begin(0.0)
    if conversation.receive(data, 0.0) is not None:
        conversation.receive(b"", 0.0)
    assert conversation.outcome is not None
    assert not conversation.outcome.up


# --- what is told of a certificate ----------------------------------------------------------------------------------


def test_a_certificate_is_told_in_the_words_of_rfc_4514():
    info = {
        "subject": (
            (("countryName", "DE"),),
            (("organizationName", "Klinikum"), ("serialNumber", "1")),
            (("commonName", "ccw"),),
        ),
        "issuer": ((("commonName", "CA"),),),
        "notAfter": "Jun  1 12:30:00 2030 GMT",
    }
    now = datetime(2030, 5, 31, 12, 30, 1, tzinfo=UTC).timestamp()
    assert told("remote", info, now) == {
        "whose": "remote",
        "subject": "CN=ccw,O=Klinikum+serialNumber=1,C=DE",
        "issuer": "CN=CA",
        "not_after": "2030-06-01T12:30:00Z",
        "days_left": 0,
    }
    assert told("remote", info, now + 86400)["days_left"] == -1


@pytest.mark.parametrize(
    "date", ["", "Bad time value", "Xyz  1 12:30:00 2030 GMT", "Jun 31 12:30:00 2030 GMT", "a b c d e"]
)
def test_a_date_that_cannot_be_read_is_none(date):
    found = told("remote", {"notAfter": date, "subjectAltName": (("DNS", "ccw.example"),)}, 0.0)
    assert (found["not_after"], found["days_left"], found["subject"]) == (None, None, "ccw.example")


# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"critical_days": 31}, "mtls: critical_days is 31; it must be from 0 to warning_days, which is 30."),
        ({"warning_days": -1}, "mtls: warning_days: "),
        ({"key_file": "x"}, "--key-file: a key needs its certificate."),
        ({"tls": True}, "mtls: tls: Extra inputs are not permitted."),
    ],
)
def test_parameters_that_cannot_be_right_are_misuse(given, said):
    with pytest.raises(Misuse) as caught:
        MTLS.prepare(given)
    assert str(caught.value).startswith(said)


def test_its_reason_codes_are_its_own():
    assert not set(MTLS.reasons) & set(REASONS)
