"""The plain way in asyncio: one `asyncio.Protocol` for each check, which replays bytes and looks at the status."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from typing import cast

from benchmarks.clients import Job
from benchmarks.pdus import ASSOCIATE_AC, ASSOCIATE_RQ, ECHO_RQ, P_DATA, RELEASE_RP, RELEASE_RQ


class Echo(asyncio.Protocol):
    """Sends the three requests, each when the answer to the one before is there. asyncio sets TCP_NODELAY."""

    def __init__(self, ended: asyncio.Future[str]) -> None:
        self.ended = ended
        self.held = b""
        self.expected = ASSOCIATE_AC

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.socket: socket.socket = transport.get_extra_info("socket")
        self.transport.write(ASSOCIATE_RQ)

    def data_received(self, data: bytes) -> None:
        """Go one step further with each whole answer."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.held += data
        if len(self.held) < 6 or len(self.held) < 6 + int.from_bytes(self.held[2:6]):
            return
        pdu, self.held = self.held, b""
        if pdu[0] != self.expected or (pdu[0] == P_DATA and pdu[-2:] != b"\0\0"):
            self.end("wrong answer")
        elif self.expected == ASSOCIATE_AC:
            self.expected = P_DATA
            self.transport.write(ECHO_RQ)
        elif self.expected == P_DATA:
            self.expected = RELEASE_RP
            self.transport.write(RELEASE_RQ)
        else:
            self.end("up")

    def connection_lost(self, error: Exception | None) -> None:
        """Name an end that came too early."""
        self.end("closed")

    def end(self, outcome: str) -> None:
        """Close, and tell the one who waits."""
        self.transport.close()
        if not self.ended.done():
            self.ended.set_result(outcome)


async def check(target: str, timeout_s: float) -> str:
    """Check one target."""
    loop = asyncio.get_running_loop()
    host, port = target.split(":")
    ended: asyncio.Future[str] = loop.create_future()
    _, protocol = await loop.create_connection(lambda: Echo(ended), host, int(port))
    deadline = loop.call_later(timeout_s, protocol.end, "timed out")
    outcome = await ended
    deadline.cancel()
    return outcome


async def check_all_targets(job: Job) -> Counter[str]:
    """As many workers as checks run at once."""
    outcomes: Counter[str] = Counter()
    targets = iter(job.targets)

    async def work(targets: Iterator[str]) -> None:
        for target in targets:
            outcomes[await check(target, job.timeout_s)] += 1

    await asyncio.gather(*(work(targets) for _ in range(job.at_once)))
    return outcomes


def check_all(job: Job) -> Counter[str]:
    """Check every target and count the outcomes."""
    return asyncio.run(check_all_targets(job))
