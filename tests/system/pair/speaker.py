"""A real server: tells each connection its name at once, then gives each line back behind it, until stdin ends.

python speaker.py NAME PORT…    NAME "": the address that the connection comes from
"""

import asyncio
import sys
from contextlib import suppress


async def _serve(name, reader, writer):
    name = name or writer.get_extra_info("peername")[0].encode()
    with suppress(ConnectionError):
        writer.write(name + b"\n")
        while line := await reader.readline():
            writer.write(name + b" " + line)
            await writer.drain()
    writer.close()


async def main():
    name, *ports = sys.argv[1:]
    for port in ports:
        await asyncio.start_server(lambda *both: _serve(name.encode(), *both), None, int(port), backlog=1024)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
