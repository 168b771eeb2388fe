import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, AF_INET6, inet_ntop

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.pair.adverts import Advert, read

# as keepalived 2.2.7 sent them, without the link header: unicast, 0.2 s
IPV4 = bytes.fromhex("45c00020000f0000ff70a68a0a0900010a0900023133f5010014bab80a090064")
IPV6 = bytes.fromhex(
    "6c0622c800287040fd090000000000000000000000000001fd0900000000000000000000000000023134c80200140f71"
    "fd090000000000000000000000000100fe800000000000000000000000090001"
)


def packet(advert, *, kind=0x31, protocol=112, fragment=0, options=b""):
    """The encoder that the product does not need."""
    source = ip_address(advert.source)
    body = struct.pack("!BBBBHH", kind, advert.router_id, advert.priority, len(advert.addresses), 0, 0)
    body = body[:4] + struct.pack("!H", round(advert.interval * 100)) + body[6:]
    body += b"".join(ip_address(one).packed for one in advert.addresses)
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + source.packed + source.packed + body
    length = 20 + len(options) + len(body)
    first = 0x45 + len(options) // 4
    head = struct.pack("!BBHHHBBH", first, 0, length, 0, fragment, 255, protocol, 0)
    return head + source.packed + source.packed + options + body


FAMILY = {IPv4Address: AF_INET, IPv6Address: AF_INET6}


def adverts(kind):
    most = 2 ** (8 * len(kind(0).packed)) - 1
    addresses = st.integers(0, most).map(lambda number: inet_ntop(FAMILY[kind], kind(number).packed))
    return st.builds(
        Advert,
        addresses,
        st.integers(1, 255),
        st.integers(0, 255),
        st.integers(0, 4095).map(lambda hundredths: hundredths / 100),
        st.lists(addresses, max_size=20).map(tuple),
    )


def test_adverts_of_keepalived_are_read():
    assert read(IPV4) == Advert("10.9.0.1", 51, 245, 0.2, ("10.9.0.100",))
    assert read(IPV6) == Advert("fd09::1", 52, 200, 0.2, ("fd09::100", "fe80::9:1"))


@given(st.one_of(adverts(IPv4Address), adverts(IPv6Address)))
def test_what_is_written_is_read(advert):
    assert read(packet(advert)) == advert


@given(adverts(IPv4Address), st.binary(max_size=40))
def test_what_an_ip_packet_is_padded_with_says_nothing(advert, padding):
    assert read(packet(advert) + padding) == advert


def test_options_of_ip_are_passed_over():
    advert = Advert("192.0.2.1", 7, 100, 1.0, ("192.0.2.9",))
    assert read(packet(advert, options=bytes(8))) == advert


@pytest.mark.parametrize("whole", [IPV4, IPV6])
def test_one_that_is_cut_off_is_none(whole):
    assert [read(whole[:length]) for length in range(len(whole))] == [None] * len(whole)


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": 0x21},  # version 2
        {"kind": 0x32},  # no advertisement
        {"protocol": 51},
        {"fragment": 0x2000},
        {"fragment": 0x0001},
    ],
)
def test_what_is_no_advert_is_none(broken):
    advert = Advert("192.0.2.1", 7, 100, 1.0, ("192.0.2.9",))
    assert read(packet(advert)) == advert
    assert read(packet(advert, **broken)) is None


def test_router_id_zero_is_none_s():
    assert read(packet(Advert("192.0.2.1", 0, 100, 1.0, ()))) is None


@given(st.binary(max_size=200))
def test_anything_is_an_advert_or_none(data):
    found = read(data)
    assert found is None or 1 <= found.router_id <= 255
