"""Our codec against an independent one, pynetdicom's, in both directions."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_ECHO_RQ, C_ECHO_RSP
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.pdu import (
    A_ABORT_RQ,
    A_ASSOCIATE_AC,
    A_ASSOCIATE_RJ,
    A_ASSOCIATE_RQ,
    A_RELEASE_RP,
    A_RELEASE_RQ,
    P_DATA_TF,
)
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    P_DATA,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from lbkit.testing import play
from lbkit_dicom_echo import pdu
from lbkit_dicom_echo.echo import Terms, ae_title, verification
from lbkit_dicom_echo.words import STATUSES, abort_reason

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
AE_TITLES = st.text(PRINTABLE.replace("\\", ""), min_size=1, max_size=16).filter(str.strip)
COMMENTS = st.text(PRINTABLE.replace("\\", ""), max_size=64)
STATUS = st.one_of(st.sampled_from(sorted(STATUSES)), st.integers(0, 0xFFFF))
COMPONENT = st.integers(0, 99999).map(str)
UIDS = st.lists(COMPONENT, min_size=1, max_size=9).map(lambda parts: ".".join(["1", "2", *parts]))
fast = settings(max_examples=100, deadline=None)


def read_one(stream):
    reader = pdu.Reader()
    found = reader.read(stream)
    assert not reader.pending
    return found


# --- ours, read by pynetdicom ---------------------------------------------------------------------------------------


@fast
@given(AE_TITLES, AE_TITLES)
def test_pynetdicom_reads_our_association_request_as_we_meant_it(calling, called):
    request = A_ASSOCIATE_RQ()
    request.decode(pdu.associate_rq(ae_title(calling), ae_title(called)))
    assert request.encode() == pdu.associate_rq(ae_title(calling), ae_title(called))
    asked = request.to_primitive()
    assert (asked.calling_ae_title, asked.called_ae_title) == (calling.strip(), called.strip())
    assert asked.application_context_name == "1.2.840.10008.3.1.1.1"
    (context,) = asked.presentation_context_definition_list
    assert (context.context_id, context.abstract_syntax) == (1, "1.2.840.10008.1.1")
    assert context.transfer_syntax == ["1.2.840.10008.1.2"]
    assert asked.maximum_length_received == pdu.MAX_PDU
    assert asked.implementation_class_uid == pdu.IMPLEMENTATION_CLASS_UID
    assert request.user_information.implementation_version_name == pdu.IMPLEMENTATION_VERSION


@fast
@given(st.one_of(st.just(0), st.integers(8, 200), st.integers(8, 0xFFFFFFFF)))
def test_pynetdicom_reads_our_echo_request_in_pieces_of_any_size(most):
    message = C_ECHO_RQ()
    reader = pdu.Reader()
    found = reader.read(pdu.echo_rq(most))
    complete = False
    while found:
        assert not complete
        part = P_DATA_TF()
        part.decode(bytes((4, 0)) + len(found[1]).to_bytes(4, "big") + found[1])
        complete = message.decode_msg(part.to_primitive())
        found = reader.read()
    assert complete
    assert message.context_id == 1
    asked = message.message_to_primitive()
    assert isinstance(asked, C_ECHO)
    assert (asked.AffectedSOPClassUID, asked.MessageID) == ("1.2.840.10008.1.1", 1)


def test_pynetdicom_reads_our_pdus_of_fixed_content():
    for kind, stream in ((A_RELEASE_RQ, pdu.RELEASE_RQ_PDU), (A_RELEASE_RP, pdu.RELEASE_RP_PDU)):
        decoded = kind()
        decoded.decode(stream)
        assert decoded.encode() == stream
    abort = A_ABORT_RQ()
    abort.decode(pdu.ABORT_PDU)
    assert (abort.source, abort.reason_diagnostic) == (0, 0)


# --- pynetdicom's, read by us ---------------------------------------------------------------------------------------


def acceptance(result=0, most=16382, class_uid="1.2.3", version="", syntax="1.2.840.10008.1.2"):
    answer = A_ASSOCIATE()
    answer.application_context_name = "1.2.840.10008.3.1.1.1"
    answer.calling_ae_title, answer.called_ae_title = "LOADBALANCER", "LB-SCP"
    answer.result, answer.result_source = 0, 1
    context = PresentationContext()
    context.context_id, context.result, context.transfer_syntax = 1, result, [syntax]
    answer.presentation_context_definition_results_list = [context]
    length, uid, name = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    length.maximum_length_received, uid.implementation_class_uid = most, class_uid
    if version:
        name.implementation_version_name = version
    answer.user_information = [length, uid, *([name] if version else [])]
    encoded = A_ASSOCIATE_AC()
    encoded.from_primitive(answer)
    return encoded.encode()


@fast
@given(
    st.integers(0, 4),
    st.one_of(st.just(0), st.integers(8, 0xFFFFFFFF)),
    UIDS,
    st.text(PRINTABLE.replace("\\", ""), max_size=16).filter(lambda text: not text or text.strip()),
)
def test_we_read_any_acceptance_of_pynetdicom_as_it_was_meant(result, most, class_uid, version):
    kind, body = read_one(acceptance(result, most, class_uid, version))
    assert kind == pdu.ASSOCIATE_AC
    found = pdu.associate_ac(body)
    assert (found.result, found.max_pdu) == (result, most)
    assert (found.class_uid, found.version) == (class_uid[:64], version.strip())


@fast
@given(st.sampled_from([(1, 1, 1), (1, 1, 7), (1, 2, 2), (2, 3, 1), (2, 3, 2), (1, 1, 3)]))
def test_we_read_any_rejection_of_pynetdicom(triple):
    rejection = A_ASSOCIATE_RJ()
    rejection.result, rejection.source, rejection.reason_diagnostic = triple
    kind, body = read_one(rejection.encode())
    assert (kind, tuple(body[1:])) == (pdu.ASSOCIATE_RJ, triple)
    outcome, _ = play(verification(Terms("A", "B")), rejection.encode())
    assert outcome.details["reject"] == dict(zip(("result", "source", "reason"), triple, strict=True))


@fast
@given(st.sampled_from([0, 2]), st.sampled_from([0, 1, 2, 4, 5, 6]))
def test_we_read_any_abort_of_pynetdicom(source, reason):
    abort = A_ABORT_RQ()
    abort.source, abort.reason_diagnostic = source, reason
    kind, body = read_one(abort.encode())
    assert (kind, body[2], body[3]) == (pdu.ABORT, source, reason)
    assert abort_reason(body).startswith("the DICOM UL service-")


def response(status, comment, cuts, per_pdu):
    """A C-ECHO-RSP of pynetdicom's as P-DATA-TFs, cut again at `cuts`, `per_pdu` values in each."""
    message = C_ECHO_RSP()
    answer = C_ECHO()
    answer.MessageIDBeingRespondedTo = 1
    answer.AffectedSOPClassUID = "1.2.840.10008.1.1"
    answer.Status = status
    message.primitive_to_message(answer)
    if comment:
        message.command_set.ErrorComment = comment
        message._set_command_group_length()
    (whole,) = (value for data in message.encode_msg(1, 0) for _, value in data.presentation_data_value_list)
    assert whole[0] == 3
    places = sorted({cut % len(whole) for cut in cuts} - {0})
    pieces = [whole[1:][start:end] for start, end in zip([0, *places], [*places, None], strict=True)]
    values = [[1, bytes((3 if piece is pieces[-1] else 1,)) + piece] for piece in pieces]
    stream = b""
    for start in range(0, len(values), per_pdu):
        data = P_DATA()
        data.presentation_data_value_list = values[start : start + per_pdu]
        encoded = P_DATA_TF()
        encoded.from_primitive(data)
        stream += encoded.encode()
    return stream


@fast
@given(STATUS, COMMENTS, st.lists(st.integers(0, 999), max_size=9), st.integers(1, 5), st.integers(1, 99))
def test_we_read_any_echo_response_of_pynetdicom_in_any_pieces(status, comment, cuts, per_pdu, size):
    stream = response(status, comment, cuts, per_pdu)
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    terms = Terms("LOADBALANCER", "LB-SCP")
    outcome, _ = play(verification(terms), acceptance(), *chunks, A_RELEASE_RP().encode())
    assert (outcome.up, outcome.step) == (status == 0, "echo")
    assert outcome.details["status"] == f"{status:04X}H"
    assert outcome.details["max_pdu"] == 16382
    assert "notes" not in outcome.details
    reader, joined, found = pdu.Reader(), pdu.Response(), None
    one = reader.read(stream)
    while one:
        found = joined.add(one[1])
        one = reader.read()
    assert found == (status, comment.strip())
