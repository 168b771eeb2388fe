"""A network may cut what it carries anywhere, and join it again: every legal segmentation is up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

import pytest
from interop.doors import Door, blocking, in_asyncio
from interop.remotes import HOST, Remote

from lbkit.testing import Listener, Script, splits

Listen: TypeAlias = Callable[[Script], Listener]
GAP = 0.001  # seconds between two segments, so that they come as two


def relay(upstream: int, size: int, seen: list[bytes]) -> Script:
    """Pass on to a port here what the client sends, and the answers to it, in writes of `size` bytes; keep the answers."""

    def script(client: socket.socket) -> None:
        with socket.create_connection((HOST, upstream)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there = threading.Thread(target=_pump, args=(client, server, size, []))
            there.start()
            _pump(server, client, size, seen)
            there.join()

    return script


def _pump(source: socket.socket, sink: socket.socket, size: int, seen: list[bytes]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            seen.append(data)
            for start in range(0, len(data), size):
                sink.sendall(data[start : start + size])
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_a_server_behind_a_network_of_tiny_segments_is_up(
    storescp: Remote, listener: Listen, size: int, door: Door
) -> None:
    said = door("c-echo", listener(relay(storescp.port, size, [])).target)
    assert said.verdict == ("up", "echo", "ok"), said.message
    assert "notes" not in said.details


@pytest.fixture
def recorded(storescp: Remote, listener: Listen) -> list[bytes]:
    """A-ASSOCIATE-AC, C-ECHO-RSP and A-RELEASE-RP, as storescp sends them."""
    seen: list[bytes] = []
    assert blocking("c-echo", listener(relay(storescp.port, 65536, seen)).target).status == "up"
    pdus = list(_pdus(b"".join(seen)))
    assert [pdu[0] for pdu in pdus] == [0x02, 0x04, 0x06]
    return pdus


def _pdus(stream: bytes) -> Iterator[bytes]:
    while stream:
        end = 6 + int.from_bytes(stream[2:6], "big")
        yield stream[:end]
        stream = stream[end:]


@pytest.mark.parametrize("door", [blocking, in_asyncio])
@pytest.mark.parametrize("cut", [0, 1, 2], ids=["A-ASSOCIATE-AC", "C-ECHO-RSP", "A-RELEASE-RP"])
def test_each_answer_may_be_cut_in_two_anywhere(recorded: list[bytes], listener: Listen, cut: int, door: Door) -> None:
    cuts = list(splits(recorded[cut]))
    following = iter(cuts)

    def script(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pieces = next(following)
        for number, pdu in enumerate(recorded):
            client.recv(65536)
            for piece in pieces if number == cut else (pdu,):
                client.sendall(piece)
                if len(pieces) == 2 and number == cut:
                    time.sleep(GAP)
        client.recv(1)

    remote = listener(script)
    for pieces in cuts:
        said = door("c-echo", remote.target)
        assert said.verdict == ("up", "echo", "ok"), (said.message, pieces)
        assert "notes" not in said.details
