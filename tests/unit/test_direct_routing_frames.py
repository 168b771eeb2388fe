"""The frames of direct-routing: against bytes that Linux 6.18 sent, against their own reading, and against anything."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from lbkit_direct_routing import frames
from lbkit_direct_routing.course import answer_in
from lbkit_direct_routing.frames import Arp, Rejection, Segment, checksum, read, segment, who_has

# what came and went while a balancer looked at two real servers
OURS, FIRST, SECOND = "8a:26:ae:9b:dd:a8", "a6:b9:bb:a4:78:5c", "c2:48:19:3c:39:fa"
ARP_ANSWER = "8a26ae9bdda8a6b9bba4785c08060001080006040002a6b9bba4785c0a0900158a26ae9bdda80a090001"
SYN_ACK = (
    "8a26ae9bdda8a6b9bba4785c0800"
    "4500002c00004000400626b00a09000a0a0900010068a8a1d797c31897fde8de6012faf0143b0000020405b4"
)
EXPIRED = (
    "8a26ae9bdda8c248193c39fa080045c000480c890000400159440a0900160a0900010b00093b00000000"
    "4500002c00004000010665b00a0900010a09000ae8cd0068ee220b84000000006002faf0a63c0000020405b4"
)
SENT_TO_THE_FIRST = Segment(OURS, "10.9.0.1", 43169, "10.9.0.10", 104, 0x97FDE8DD, 0, frames.SYN)
SENT_TO_THE_SECOND = Segment(OURS, "10.9.0.1", 59597, "10.9.0.10", 104, 0xEE220B84, 0, frames.SYN)


def test_an_answer_of_arp_is_read():
    assert read(bytes.fromhex(ARP_ANSWER)) == Arp(False, FIRST, "10.9.0.21", "10.9.0.1")


def test_a_syn_ack_is_read_and_answers_the_syn_that_it_acknowledges():
    found = read(bytes.fromhex(SYN_ACK))
    assert found == Segment(FIRST, "10.9.0.10", 104, "10.9.0.1", 43169, 0xD797C318, 0x97FDE8DE, frames.SYN | frames.ACK)
    assert answer_in(found, SENT_TO_THE_FIRST) == ("accepted", (0, 0))
    assert answer_in(found, SENT_TO_THE_SECOND) is None


def test_an_icmp_error_is_read_with_what_it_is_about():
    found = read(bytes.fromhex(EXPIRED))
    assert found == Rejection(SECOND, "10.9.0.22", frames.TIME_EXCEEDED, 0, "10.9.0.1", 59597, "10.9.0.10", 104)
    assert answer_in(found, SENT_TO_THE_SECOND) == ("expired", (11, 0))
    assert answer_in(found, SENT_TO_THE_FIRST) is None


def test_a_syn_is_written_as_the_kernel_took_it():
    quoted = EXPIRED[-88:]  # the packet of IPv4 that the error of ICMP is about
    assert segment(SENT_TO_THE_SECOND, SECOND).hex() == f"{'c248193c39fa'}{'8a26ae9bdda8'}0800{quoted}"


def test_who_has_asks_everybody_and_carries_the_sender():
    frame = who_has("10.9.0.10", OURS, "10.9.0.1")
    assert frame.hex() == "ffffffffffff8a26ae9bdda8080600010800060400018a26ae9bdda80a0900010000000000000a09000a"
    assert read(frame) == Arp(True, OURS, "10.9.0.1", "10.9.0.10")


# --- of anything ---

macs = st.binary(min_size=6, max_size=6).map(lambda data: data.hex(":"))
addresses = st.ip_addresses(v=4).map(str)
ports = st.integers(0, 0xFFFF)
numbers = st.integers(0, 0xFFFFFFFF)
segments = st.builds(Segment, macs, addresses, ports, addresses, ports, numbers, numbers, st.integers(0, 0xFF))


@given(segments, macs)
def test_a_segment_is_read_as_it_was_written(sent, to):
    assert read(segment(sent, to)) == sent


@given(segments, macs)
def test_both_checksums_of_a_segment_are_right(sent, to):
    packet = segment(sent, to)[14:]
    pseudo = packet[12:20] + struct.pack("!HH", frames.TCP, len(packet) - 20)
    assert (checksum(packet[:20]), checksum(pseudo + packet[20:])) == (0, 0)


@given(addresses, macs, addresses)
def test_a_question_of_arp_is_read_as_it_was_written(wanted, mac, sender):
    assert read(who_has(wanted, mac, sender)) == Arp(True, mac, sender, wanted)


@given(st.binary(max_size=256))
def test_any_bytes_are_read_or_left(data):
    assert isinstance(read(data), Arp | Segment | Rejection | None)


@given(st.sampled_from([ARP_ANSWER, SYN_ACK, EXPIRED]).map(bytes.fromhex), st.data())
def test_a_frame_that_is_cut_off_or_damaged_is_read_or_left(frame, data):
    at = data.draw(st.integers(0, len(frame) - 1))
    assert read(frame[:at]) is None or at >= 54  # what stands behind the headers is not needed
    damaged = frame[:at] + data.draw(st.binary(min_size=1, max_size=1)) + frame[at + 1 :]
    assert isinstance(read(damaged), Arp | Segment | Rejection | None)


# --- what is no answer ---


def test_a_fragment_is_left():
    frame = bytearray.fromhex(SYN_ACK)
    frame[21] = 1
    assert read(bytes(frame)) is None


def test_a_segment_that_acknowledges_something_else_is_no_answer():
    found = read(bytes.fromhex(SYN_ACK))
    assert answer_in(found._replace(acknowledged=1), SENT_TO_THE_FIRST) is None
    assert answer_in(found._replace(flags=frames.ACK), SENT_TO_THE_FIRST) is None  # of an older connection
    assert answer_in(found._replace(flags=frames.RST), SENT_TO_THE_FIRST) is None  # anybody could have sent that


def test_a_reset_that_acknowledges_the_syn_is_a_refusal():
    found = read(bytes.fromhex(SYN_ACK))
    assert answer_in(found._replace(flags=frames.RST | frames.ACK), SENT_TO_THE_FIRST) == ("refused", (0, 0))


def test_an_acknowledgement_goes_round_after_the_last_number():
    sent = SENT_TO_THE_FIRST._replace(sequence=0xFFFFFFFF)
    found = read(bytes.fromhex(SYN_ACK))._replace(acknowledged=0)
    assert answer_in(found, sent) == ("accepted", (0, 0))
