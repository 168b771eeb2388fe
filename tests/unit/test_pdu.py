"""The PDUs of a verification: what is sent is pinned byte by byte, what is read is judged rule by rule."""

from struct import pack

import pytest
from unit import pdu_bytes as remote
from unit.pdu_bytes import element, item, p_data, pdu, pdv, short

from lbkit.testing import splits
from lbkit_dicom_echo.pdu import (
    ABORT_PDU,
    ECHO_RQ_PDU,
    RELEASE_RP_PDU,
    RELEASE_RQ_PDU,
    Malformed,
    Reader,
    Response,
    associate_ac,
    associate_rq,
    echo_rq,
    echo_status,
    text,
)

# --- what is sent ---------------------------------------------------------------------------------------------------


def test_the_association_request_is_that_of_table_9_11():
    assert associate_rq("LOADBALANCER", "LB-SCP") == remote.ASSOCIATE_RQ


def test_the_echo_request_is_one_pdu_and_that_of_ps3_7_table_9_3_12():
    assert echo_rq() == ECHO_RQ_PDU == remote.ECHO_RQ


def test_the_pdus_of_fixed_content_are_those_of_tables_9_24_to_9_26():
    assert (RELEASE_RQ_PDU, RELEASE_RP_PDU, ABORT_PDU) == (remote.RELEASE_RQ, remote.RELEASE_RP, remote.ABORT)


@pytest.mark.parametrize("most", [8, 9, 10, 20, 73, 74, 75, 80, 16384])
def test_an_echo_request_for_a_remote_of_short_pdus_comes_in_even_fragments_of_which_one_is_last(most):
    """PS3.8 annex E.1 and E.2; `most` bounds the variable field of each PDU (annex D.1)."""
    reader = Reader()
    found = reader.read(echo_rq(most))
    pieces, controls = [], []
    while found:
        kind, body = found
        assert kind == 4
        assert len(body) <= most
        assert len(body) % 2 == 0
        assert body[:5] == pack(">IB", len(body) - 4, 1)
        controls.append(body[5])
        pieces.append(body[6:])
        found = reader.read()
    assert b"".join(pieces) == remote.ECHO_RQ[12:]
    assert controls == [1] * (len(controls) - 1) + [3]


# --- the reader -----------------------------------------------------------------------------------------------------

EXCHANGE = remote.ASSOCIATE_AC + remote.ECHO_RSP + remote.RELEASE_RP + remote.REMOTE_ABORT
EXPECTED = [(one[0], one[6:]) for one in (remote.ASSOCIATE_AC, remote.ECHO_RSP, remote.RELEASE_RP, remote.REMOTE_ABORT)]


def pdus_in(chunks):
    reader = Reader()
    found = []
    for chunk in chunks:
        one = reader.read(chunk)
        while one:
            found.append(one)
            one = reader.read()
    assert not reader.pending
    return found


def test_every_split_of_the_stream_gives_the_same_pdus():
    for chunks in splits(EXCHANGE):
        assert pdus_in(chunks) == EXPECTED


def test_bytes_of_an_unfinished_pdu_are_pending():
    reader = Reader()
    assert reader.read(remote.RELEASE_RP[:9]) is None
    assert reader.pending
    assert reader.read(remote.RELEASE_RP[9:]) == (6, bytes(4))
    assert not reader.pending


@pytest.mark.parametrize(
    ("kind", "length", "sentence"),
    [
        (2, 67, "A-ASSOCIATE-AC claims a length of 67 bytes; 68 to 131072 are legal here"),
        (2, 131073, "A-ASSOCIATE-AC claims a length of 131073 bytes; 68 to 131072 are legal here"),
        (2, 0xFFFFFFFF, "A-ASSOCIATE-AC claims a length of 4294967295 bytes; 68 to 131072 are legal here"),
        (3, 3, "A-ASSOCIATE-RJ claims a length of 3 bytes; 4 to 4 are legal here"),
        (3, 5, "A-ASSOCIATE-RJ claims a length of 5 bytes; 4 to 4 are legal here"),
        (4, 0, "P-DATA-TF claims a length of 0 bytes; 6 to 16384 are legal here"),
        (4, 5, "P-DATA-TF claims a length of 5 bytes; 6 to 16384 are legal here"),
        (4, 16385, "P-DATA-TF claims a length of 16385 bytes; 6 to 16384 are legal here"),
        (5, 0, "A-RELEASE-RQ claims a length of 0 bytes; 4 to 4 are legal here"),
        (6, 6, "A-RELEASE-RP claims a length of 6 bytes; 4 to 4 are legal here"),
        (7, 5, "A-ABORT claims a length of 5 bytes; 4 to 4 are legal here"),
    ],
)
def test_a_wrong_length_is_known_from_the_six_bytes_of_the_header(kind, length, sentence):
    with pytest.raises(Malformed) as caught:
        Reader().read(pack(">BxI", kind, length))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("kind", "length"), [(2, 68), (2, 131072), (3, 4), (4, 6), (4, 16384), (5, 4), (6, 4), (7, 4)])
def test_the_least_and_the_most_legal_length_are_taken(kind, length):
    assert Reader().read(pdu(kind, bytes(length))) == (kind, bytes(length))


@pytest.mark.parametrize("first", [0, 8, 0x15, 0x16, 0x48, 0x53, 0xFF])
def test_what_is_no_pdu_is_known_from_its_first_byte(first):
    with pytest.raises(Malformed, match="this is no DICOM PDU") as caught:
        Reader().read(bytes((first,)))
    assert caught.value.start == bytes((first,))


@pytest.mark.parametrize("size", [1, 6, 300])
def test_an_association_request_is_no_answer_to_one(size):
    with pytest.raises(Malformed, match="sent an A-ASSOCIATE-RQ where it should have answered ours") as caught:
        Reader().read(remote.ASSOCIATE_RQ[:size])
    assert caught.value.start == b""


# --- A-ASSOCIATE-AC -------------------------------------------------------------------------------------------------


def accepted(*items: bytes):
    return associate_ac(remote.associate_ac(*items)[6:])


def test_an_acceptance_tells_the_result_the_maximum_length_and_the_implementation():
    found = associate_ac(remote.ASSOCIATE_AC[6:])
    assert (found.result, found.max_pdu, found.class_uid, found.version) == (0, 16384, remote.CLASS_UID, remote.VERSION)


def test_an_acceptance_without_user_information_leaves_the_pdu_length_open():
    found = accepted(remote.context())
    assert (found.result, found.max_pdu, found.class_uid, found.version) == (0, 0, "", "")


@pytest.mark.parametrize("result", [1, 2, 3, 4])
def test_the_transfer_syntax_of_a_rejected_context_is_not_looked_at(result):
    """PS3.8 table 9-18: "when the Result/Reason is not acceptance, this field shall not be significant"."""
    assert accepted(remote.context(1, result, b"1.2.3")).result == result
    assert accepted(item(0x21, bytes((1, 0, result, 0)))).result == result
    assert accepted(item(0x21, bytes((1, 0, result, 0)) + b"\x40\x00\xff\xff")).result == result


def test_items_of_unknown_type_are_skipped():
    """PS3.8 section 9.3.1."""
    user = item(0x50, item(0x99, b"?") + item(0x51, pack(">I", 8)))
    found = accepted(item(0x77, b"new"), remote.context(), item(0x10, b"1.2"), user)
    assert (found.result, found.max_pdu) == (0, 8)


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_uids_may_be_padded_with_a_nul(padding):
    user = item(0x50, item(0x52, b"1.2.3" + padding))
    found = accepted(remote.context(1, 0, b"1.2.840.10008.1.2" + padding), user)
    assert found.class_uid == "1.2.3"


def test_what_is_told_about_the_implementation_is_safe_on_a_terminal():
    user = item(0x50, item(0x52, b"1.2\x1b[31m") + item(0x55, b"A\r\nB\xff"))
    found = accepted(remote.context(), user)
    assert (found.class_uid, found.version) == ("1.2?[31m", "A??B?")


SYNTAX = "only 1.2.840.10008.1.2 was proposed"
ITEM_RULES = {
    "none": ((item(0x10, b"1.2"),), "A-ASSOCIATE-AC does not answer the presentation context that was proposed"),
    "two": (
        (remote.context(), remote.context(1, 4)),
        "A-ASSOCIATE-AC answers more presentation contexts than the one proposed",
    ),
    "another": ((remote.context(3),), "A-ASSOCIATE-AC answers presentation context 3; 1 was proposed"),
    "result": ((remote.context(1, 5),), "A-ASSOCIATE-AC gives presentation context result 5; 0 to 4 are legal"),
    "short": ((item(0x21, b"\1\0\0"),), "A-ASSOCIATE-AC holds a presentation context item that is too short"),
    "other syntax": (
        (remote.context(1, 0, b"1.2.840.10008.1.2.1"),),
        f"A-ASSOCIATE-AC chose transfer syntax 1.2.840.10008.1.2.1; {SYNTAX}",
    ),
    "no syntax": ((item(0x21, b"\1\0\0\0"),), f"A-ASSOCIATE-AC chose transfer syntax none; {SYNTAX}"),
    "two syntaxes": (
        (remote.context(1, 0, b"1.2.840.10008.1.2", b"1.2\n"),),
        f"A-ASSOCIATE-AC chose transfer syntax 1.2.840.10008.1.2, 1.2?; {SYNTAX}",
    ),
    "half an item": ((remote.context(), b"\x50\0\0"), "A-ASSOCIATE-AC ends in the middle of an item"),
    "lying item": (
        (remote.context(), b"\x50\0\xff\xff"),
        "A-ASSOCIATE-AC holds an item of type 50H whose length of 65535 bytes reaches beyond it",
    ),
    "lying by one": (
        (remote.context(), b"\x77\0\0\x02?"),
        "A-ASSOCIATE-AC holds an item of type 77H whose length of 2 bytes reaches beyond it",
    ),
    "lying syntax": (
        (item(0x21, b"\1\0\0\0\x40\0\0\x12" + b"1.2.840.10008.1.2"),),
        "a presentation context of A-ASSOCIATE-AC holds an item of type 40H whose length of 18 bytes reaches beyond it",
    ),
    "half a syntax": (
        (item(0x21, b"\1\0\0\0\x40\0\0"),),
        "a presentation context of A-ASSOCIATE-AC ends in the middle of an item",
    ),
    "lying user item": (
        (remote.context(), item(0x50, b"\x55\0\0\x05LBKI"), item(0x77, b"T")),
        "the user information of A-ASSOCIATE-AC holds an item of type 55H whose length of 5 bytes reaches beyond it",
    ),
    "half a user item": (
        (remote.context(), item(0x50, b"\x51")),
        "the user information of A-ASSOCIATE-AC ends in the middle of an item",
    ),
    "length of 3": (
        (remote.context(), item(0x50, item(0x51, bytes(3)))),
        "A-ASSOCIATE-AC gives a maximum length of 3 bytes; it has 4 (PS3.8 annex D.1)",
    ),
    "PDUs of 7": (
        (remote.context(), item(0x50, item(0x51, pack(">I", 7)))),
        "A-ASSOCIATE-AC allows PDUs of 7 bytes, in which no message fits",
    ),
}


@pytest.mark.parametrize("rule", ITEM_RULES)
def test_an_acceptance_that_breaks_a_rule_is_malformed(rule):
    items, sentence = ITEM_RULES[rule]
    with pytest.raises(Malformed) as caught:
        accepted(*items)
    assert str(caught.value) == sentence


# --- P-DATA-TF ------------------------------------------------------------------------------------------------------

COMMAND = remote.command()


def answer(*pdus: bytes):
    """What is made of the P-DATA-TFs, one after the other."""
    response = Response()
    found = None
    for one in pdus:
        assert found is None
        found = response.add(one[6:])
    return found


def test_a_response_may_be_cut_into_pdvs_and_pdus_at_every_place():
    for pieces in splits(COMMAND):
        controls = [1] * (len(pieces) - 1) + [3]
        pdvs = [pdv(piece, control) for piece, control in zip(pieces, controls, strict=True)]
        assert answer(p_data(*pdvs)) == (0, "")
        assert answer(*map(p_data, pdvs)) == (0, "")


def test_an_empty_last_fragment_ends_a_response():
    assert answer(p_data(pdv(COMMAND, 1)), p_data(pdv(b"", 3))) == (0, "")


PDV_RULES = {
    "half": (p_data(pdv(b"", 1), bytes(5)), "P-DATA-TF ends in the middle of a presentation data value"),
    "length 1": (
        p_data(b"\0\0\0\1\1\3"),
        "P-DATA-TF holds a presentation data value whose length of 1 bytes is wrong",
    ),
    "lying": (
        p_data(pack(">IBB", len(COMMAND) + 3, 1, 3) + COMMAND),
        f"P-DATA-TF holds a presentation data value whose length of {len(COMMAND) + 3} bytes is wrong",
    ),
    "4 GiB": (
        p_data(b"\xff\xff\xff\xff\1\3"),
        "P-DATA-TF holds a presentation data value whose length of 4294967295 bytes is wrong",
    ),
    "context": (p_data(pdv(COMMAND, 3, 5)), "P-DATA-TF comes in presentation context 5; 1 was agreed"),
    "data set": (p_data(pdv(COMMAND, 2)), "P-DATA-TF holds a data set; a C-ECHO response has none"),
    "more": (
        p_data(pdv(COMMAND), pdv(COMMAND)),
        "P-DATA-TF goes on after the last fragment of the command",
    ),
    "fragments": (
        p_data(*[pdv(b"", 1)] * 257),
        "the response does not end: 257 fragments, 0 bytes",
    ),
}


@pytest.mark.parametrize("rule", PDV_RULES)
def test_a_p_data_tf_that_breaks_a_rule_is_malformed(rule):
    broken, sentence = PDV_RULES[rule]
    with pytest.raises(Malformed) as caught:
        answer(broken)
    assert str(caught.value) == sentence


def test_a_response_that_does_not_end_is_malformed():
    piece = p_data(pdv(bytes(8192), 1))
    assert answer(piece, piece) is None
    with pytest.raises(Malformed, match="the response does not end: 3 fragments, 16386 bytes"):
        answer(piece, piece, p_data(pdv(bytes(2), 1)))


# --- the command set ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0x0000, 0x0122, 0x0211, 0xB000, 0xFF00, 0xFFFF])
def test_the_status_is_read_little_endian(status):
    assert echo_status(remote.command(status)) == (status, "")


def test_an_error_comment_is_read_without_padding_in_64_characters_and_safe_on_a_terminal():
    assert echo_status(remote.command(0x110, comment=element(0x0902, b"full \0"))) == (0x110, "full")
    assert echo_status(remote.command(0x110, comment=element(0x0902, b"\x1b]0;" + b"x" * 99))) == (
        0x110,
        "?]0;" + "x" * 60,
    )


def test_elements_may_come_in_any_order_and_others_beside_them():
    shuffled = (
        short(0x0900, 0) + short(0x0800, 0x0101) + short(0x0120, 1) + element(0x1234, b"") + short(0x0100, 0x8030)
    )
    assert echo_status(shuffled) == (0, "")


COMMAND_RULES = {
    "no field": (remote.command(field=None), "Command Field (0000,0100) is missing"),
    "request": (
        remote.command(field=short(0x0100, 0x0030)),
        "Command Field (0000,0100) is 0030H; a C-ECHO-RSP has 8030H",
    ),
    "not answered": (remote.command(answered=None), "Message ID Being Responded To (0000,0120) is missing"),
    "other answered": (
        remote.command(answered=short(0x0120, 2)),
        "Message ID Being Responded To (0000,0120) is 2; 1 was asked",
    ),
    "no type": (remote.command(data_set=None), "Command Data Set Type (0000,0800) is missing"),
    "data set": (
        remote.command(data_set=short(0x0800, 0)),
        "Command Data Set Type (0000,0800) is 0000H; a C-ECHO-RSP has 0101H, no data set",
    ),
    "no status": (remote.command(status=None), "Status (0000,0900) is missing"),
    "long status": (
        remote.command(status=element(0x0900, bytes(4))),
        "Status (0000,0900) has 4 bytes; it has 2",
    ),
    "empty status": (remote.command(status=element(0x0900, b"")), "Status (0000,0900) has 0 bytes; it has 2"),
    "group": (
        remote.command(more=element(0x0010, b"", group=8)),
        "the command set holds an element of group 0008H; all are of group 0000H",
    ),
    "twice": (
        remote.command(more=short(0x0900, 0)),
        "element (0000,0900) stands twice in the command set",
    ),
    "half": (remote.command(more=b"\0" * 7), "the command set ends in the middle of an element"),
    "lying": (
        remote.command(more=pack("<HHI", 0, 0x0902, 2) + b"x"),
        "element (0000,0902) claims 2 bytes, more than the command set has left",
    ),
    "nothing": (b"", "Command Field (0000,0100) is missing"),
}


@pytest.mark.parametrize("rule", COMMAND_RULES)
def test_a_command_set_that_breaks_a_rule_is_malformed(rule):
    broken, sentence = COMMAND_RULES[rule]
    with pytest.raises(Malformed) as caught:
        echo_status(broken)
    assert str(caught.value) == sentence


# --- text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [bytes(range(256)), b"\x9b31m", b"\xc2\x9b", b"\x7f", b" a\tb ", "schön".encode()])
def test_text_of_a_remote_is_printable_ascii(raw):
    shown = text(raw)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= len(raw)
