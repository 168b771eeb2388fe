"""The site that all keepers get: 4 VIPs with 2 real servers each, every one a process that can be killed or stopped."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PORT = 11112
VIPS = {f"198.18.0.{vip}": [f"127.1.{vip}.{server}" for server in (1, 2)] for vip in (1, 2, 3, 4)}


class Server:
    """replayd at an address of its own."""

    def __init__(self, replayd: str, vip: str, address: str) -> None:
        self.vip, self.address = vip, address
        self._replayd = replayd
        self.rise()

    def rise(self) -> None:
        """Start; it accepts when this returns."""
        self._process = subprocess.Popen(
            [self._replayd, f"{self.address}:{PORT}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert int(self._process.stdout.readline()) == PORT

    def die(self) -> None:
        """At once."""
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """It is there, accepts (its kernel does), and never answers."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `hang`."""
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def serving(replayd: str) -> Iterator[list[Server]]:
    """All of them, in the order of VIPs."""
    made: list[Server] = []
    try:
        for vip, addresses in VIPS.items():
            made += [Server(replayd, vip, address) for address in addresses]
        yield made
    finally:
        for one in made:
            with suppress(ProcessLookupError):
                one.go_on()
            one.die()
