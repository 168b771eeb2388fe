"""Clients of a VIP; what became of them is written as JSON when stdin ends. Times are seconds of CLOCK_MONOTONIC.

python callers.py probe ADDRESS PORT EVERY TIMEOUT SOURCE…       a new connection every EVERY seconds
python callers.py sessions ADDRESS PORT EVERY PATIENCE NUMBER    NUMBER that stay, each says a line every EVERY seconds
"""

import asyncio
import itertools
import json
import socket
import struct
import sys
import time
from contextlib import suppress

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: thousands of connections leave no port behind
_AT_ONCE = 100


async def _connected(address, port, source=None):
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0) if source else None)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return reader, writer


async def _call(calls, address, port, timeout, source):
    begun, who, why, writer = time.monotonic(), "", "", None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _connected(address, port, source)
            who = (await reader.readline()).decode().strip()
        why = "" if who else "closed"
    except OSError as e:
        why = type(e).__name__
    finally:
        if writer:
            writer.transport.abort()
    calls.append((begun, time.monotonic(), who, why, source))


async def _probe(end, address, port, every, timeout, *sources):
    calls, tasks, turn = [], set(), itertools.cycle(sources)
    due = time.monotonic()
    while not end.is_set():
        task = asyncio.create_task(_call(calls, address, port, float(timeout), next(turn)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        due += float(every)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.gather(*tasks)
    return sorted(calls)


class _Session:
    def __init__(self):
        self.who = self.ended = ""  # why it did
        self.lines = 0
        self.longest = 0.0  # seconds without an answer

    async def open(self, gate, address, port, patience):
        async with gate:
            try:
                async with asyncio.timeout(patience):
                    self.reader, self.writer = await _connected(address, port)
                    self.who = (await self.reader.readline()).decode().strip()
            except OSError:
                pass  # never opened

    async def talk(self, end, every, patience):
        last = False
        while not (self.ended or last):
            last = end.is_set()  # one more line after it, so that whoever is dead by then is seen
            begun = time.monotonic()
            self.ended = await self._line(patience)
            took = time.monotonic() - begun
            self.longest = max(self.longest, took)
            self.lines += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(end.wait(), max(0.0, every - took))
        self.writer.transport.abort()

    async def _line(self, patience):
        try:
            self.writer.write(b"x\n")
            async with asyncio.timeout(patience):
                answer = await self.reader.readline()
        except TimeoutError:
            return "hung"
        except OSError:
            return "broken"
        return "" if answer.decode() == f"{self.who} x\n" else "broken"


async def _sessions(end, ready, address, port, every, patience, number):
    every, patience = float(every), float(patience)
    gate, sessions = asyncio.Semaphore(_AT_ONCE), [_Session() for _ in range(int(number))]
    await asyncio.gather(*(one.open(gate, address, port, patience) for one in sessions))
    opened = [one for one in sessions if one.who]
    ready()
    tasks = []
    for one in opened:
        tasks.append(asyncio.create_task(one.talk(end, every, patience)))
        await asyncio.sleep(every / len(opened))
    await asyncio.gather(*tasks)
    return [(one.who, one.ended, one.lines, one.longest) for one in opened]


async def main():
    what, *given = sys.argv[1:]
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(end.set)))

    def ready():
        print("ready", flush=True)

    if what == "probe":
        ready()
        found = await _probe(end, *given)
    else:
        found = await _sessions(end, ready, *given)
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
