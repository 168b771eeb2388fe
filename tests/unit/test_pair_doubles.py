from hypothesis import given
from hypothesis import strategies as st

from lbkit.pair.doubles import claimed, probe

MAC = bytes.fromhex("005056aa0001")


def reply(address, mac=MAC):
    asked = probe(address, mac)
    return asked[:20] + b"\0\2" + asked[22:28] + asked[38:42] + asked[32:38] + bytes(4)


def test_a_probe_asks_everybody_and_teaches_nobody():
    frame = probe("192.0.2.50", MAC)
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x06"
    assert frame[14:22] == bytes.fromhex("0001080006040001")
    assert frame[22:] == MAC + bytes(4) + bytes(6) + bytes((192, 0, 2, 50))
    assert claimed(frame, "192.0.2.50") is None


def test_a_reply_says_who_has_the_address():
    assert claimed(reply("192.0.2.50"), "192.0.2.50") == MAC
    assert claimed(reply("192.0.2.50"), "192.0.2.51") is None
    assert claimed(reply("192.0.2.50") + bytes(18), "192.0.2.50") == MAC


@given(st.binary(max_size=80))
def test_anything_else_says_nothing_or_a_mac(frame):
    found = claimed(frame, "192.0.2.50")
    assert found is None or len(found) == 6
