"""The HL7 of the simulated listeners: frames of MLLP, and acknowledgements."""

import re
import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit_demo.hl7 import acknowledge, acknowledgement, frame
from lbkit_demo.remote import scripted

ADMISSION = (
    b"MSH|^~\\&|EMR|WARD 3|CCW|CARDIOLOGY|20240131120000||ADT^A01^ADT_A01|MSG00042|P|2.5.1\r"
    b"EVN|A01|20240131120000\r"
    b"PID|1||1234^^^HOSPITAL||DOE^JANE\r"
)


def segments(message):
    return [segment.split(b"|") for segment in message.split(b"\r")[:-1]]


def test_a_message_is_accepted_by_its_control_id():
    _, msa = segments(acknowledgement(ADMISSION))
    assert msa == [b"MSA", b"AA", b"MSG00042"]


def test_a_text_goes_behind_the_control_id():
    _, msa = segments(acknowledgement(ADMISSION, b"127.0.0.1:5001"))
    assert msa == [b"MSA", b"AA", b"MSG00042", b"127.0.0.1:5001"]


def test_an_acknowledgement_goes_back_to_the_sender_in_the_senders_version():
    msh, _ = segments(acknowledgement(ADMISSION))
    assert msh[2:6] == [b"CCW", b"CARDIOLOGY", b"EMR", b"WARD 3"]
    assert msh[8] == b"ACK^A01"
    assert msh[10:12] == [b"P", b"2.5.1"]


def test_the_senders_own_separators_are_used():
    answer = acknowledgement(b"MSH*:~\\&*A*B*C*D*2024**ADT:A01*7*P*2.3\r")
    assert answer == b"MSH*:~\\&*C*D*A*B*2024**ACK:A01*7*P*2.3\rMSA*AA*7\r"


def test_a_header_that_ends_early_is_accepted_too():
    assert acknowledgement(b"MSH|^~\\&|A\r").endswith(b"\rMSA|AA|\r")


@pytest.mark.parametrize("message", [b"", b"MSH", b"MSH|^~\\", b"PID|1\r", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_message_is_not_acknowledged(message):
    with pytest.raises(ValueError, match="MSH"):
        acknowledgement(message)


FIELD = st.binary(max_size=8).filter(lambda value: not re.search(rb"[\r|]", value))


@given(st.lists(FIELD, max_size=20))
def test_any_header_gets_an_acknowledgement_with_its_control_id(fields):
    message = b"|".join([b"MSH", b"^~\\&", *fields]) + b"\r"
    msh, msa = segments(acknowledgement(message))
    assert msh[0] == b"MSH"
    assert msa == [b"MSA", b"AA", fields[7] if len(fields) > 7 else b""]


@given(st.binary(max_size=64))
def test_whatever_comes_is_acknowledged_or_refused(message):
    with suppress(ValueError):
        assert acknowledgement(message).startswith(b"MSH")


def connect(address):
    return socket.create_connection(address, timeout=5)


@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_each_message_of_a_connection_is_acknowledged_in_turn(pieces):
    with scripted((acknowledge,)) as address, connect(address) as client:
        sent = frame(ADMISSION) + frame(ADMISSION.replace(b"MSG00042", b"MSG00043"))
        size = -(-len(sent) // pieces)
        for start in range(0, len(sent), size):
            client.sendall(sent[start : start + size])
        received = b""
        while received.count(b"\x1c\r") < 2:
            received += client.recv(4096)
    assert re.findall(rb"MSA\|AA\|(\w+)", received) == [b"MSG00042", b"MSG00043"]
    assert received.startswith(b"\x0bMSH|")


def test_who_sends_no_hl7_is_hung_up_on():
    with scripted((acknowledge,)) as address, connect(address) as client:
        client.sendall(frame(b"HELO"))
        assert client.recv(4096) == b""
