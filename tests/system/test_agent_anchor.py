"""The anchor answers real pings, from either kind of socket; what others ping is not taken for it."""

import asyncio
import socket
import struct
import time

import pytest
from system.namespaces import Namespace, namespaces

from lbkit.agent.anchor import Anchor

UNPRIVILEGED = {True: "0 0", False: "1 0"}  # whether root's group may ping without CAP_NET_RAW


@pytest.fixture
def host():
    with namespaces(1) as (made,):
        yield made


async def asked(address: str, seconds: float, also=lambda: None) -> Anchor:
    heard = []
    anchor = Anchor(address, lambda: heard.append(time.monotonic()))
    anchor.start()
    try:
        also()
        end = time.monotonic() + seconds
        while not heard and time.monotonic() < end:
            await asyncio.sleep(0.01)
    finally:
        anchor.stop()
    assert bool(heard) is (anchor.answered is not None)
    return anchor


def within(host: Namespace, address: str, seconds: float, also=lambda: None) -> Anchor:
    with host.inside():
        return asyncio.run(asked(address, seconds, also))


@pytest.mark.parametrize("unprivileged", [True, False])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_that_is_there_answers(address, unprivileged, host):
    host.set("ipv4/ping_group_range", UNPRIVILEGED[unprivileged])
    before = time.monotonic()
    assert before <= within(host, address, 5).answered <= time.monotonic()


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_one_that_is_not_does_not(address, host):
    assert within(host, address, 1.3).answered is None


def test_an_answer_to_somebody_elses_ping_is_none(host):
    host.set("ipv4/ping_group_range", UNPRIVILEGED[False])
    host.set("ipv4/icmp_echo_ignore_all", "1")

    def forge() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.sendto(struct.pack("!BBHHH", 0, 0, 0xFFFF, 0, 0), ("127.0.0.1", 0))

    assert within(host, "127.0.0.1", 0.5, forge).answered is None
