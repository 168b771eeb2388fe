"""A remote that resets a connection at once: the connection stood, so the verdict belongs to the protocol's first step."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

from lbkit.checks.conversation import up
from lbkit.checks.kind import CheckKind, Params
from lbkit.checks.many import Checker


def greeting(target):
    yield "greeting", b""
    return up("greets")


CHECK = CheckKind("greeting", "a greeting", Params, lambda params: greeting).prepare({"timeout": 2})


def test_a_reset_that_came_before_the_driver_looked_is_a_reset_at_the_first_step():
    async def reset_while_the_loop_is_busy():
        with socket.create_server(("127.0.0.1", 0)) as server:
            host, port = server.getsockname()
            async with Checker() as checker:
                result = checker.start(CHECK, CHECK.target(f"{host}:{port}"))
                connection, _ = server.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
                time.sleep(0.01)  # the loop has not run since: connection and reset are seen at once
                return await result

    result = asyncio.run(reset_while_the_loop_is_busy())
    assert (result.status, result.step, result.reason) == ("down", "greeting", "reset")
