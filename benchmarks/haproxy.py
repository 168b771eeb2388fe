"""HAProxy's runtime API, against what operators and other clients do: a `socat` process, haproxyadmin, haproxy-stats."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep

from benchmarks.measure import Contender, call_ms, ratio, wall_ms
from benchmarks.outcome import BenchmarkError, Measured, NotInstalledError, at_least
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes, program
from lbkit.errors import LbkitError
from lbkit.haproxy.runtime import Runtime

FIRST = int(IPv4Address("10.0.0.0"))
ENTRIES = 100_000
OF_SERVER_2 = 100  # of them
SERVERS = 1000
BATCH = 100
OPERATION = "set server TABLE/s1 weight 5"
REASON = "no, greeting"
STARTS_WITHIN = 30.0  # seconds, until every server has failed its check
CONFIGURATION = """
global
    stats socket {folder}/admin.sock level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend page
    mode http
    bind 127.0.0.1:{port}
    stats enable
    stats uri /
frontend in
    bind {folder}/in.sock
    default_backend TABLE
backend TABLE
    stick-table type ip size 200k expire 1h store gpc0,conn_cnt,conn_rate(10s),bytes_in_rate(10s),sess_cnt
    stick on src
    server s1 127.0.0.1:{port}
    server s2 127.0.0.1:{port}
"""
CHECKED = f"""
backend MANY
    option tcp-check
    tcp-check connect
    tcp-check send QUIT\\r\\n
    tcp-check expect string nothing comment "{REASON}"
    server-template s {SERVERS} 127.0.0.1:{{port}} check inter 1s downinter 1h fall 1
"""


@contextmanager
def haproxy(more: str = "") -> Iterator[tuple[str, int]]:
    """The path of the socket of HAProxy in a process of its own, and the port of its statistics page."""
    with TemporaryDirectory(prefix="lbkit-") as folder, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        file = Path(folder, "haproxy.cfg")
        file.write_text((CONFIGURATION + more).format(folder=folder, port=port))
        path = f"{folder}/admin.sock"
        command = [program("haproxy"), "-db", "-f", str(file)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: bool(Runtime(path).info()))
                yield path, port
            finally:
                process.terminate()


def wait_until(holds: Callable[[], bool]) -> None:
    """Within STARTS_WITHIN, or the benchmark fails."""
    deadline = monotonic() + STARTS_WITHIN
    while monotonic() < deadline:
        try:
            if holds():
                return
        except LbkitError:
            pass
        sleep(0.05)
    raise BenchmarkError("HAProxy did not become ready")


def fill(path: str) -> None:
    """ENTRIES entries, OF_SERVER_2 of which are of the second server."""
    Runtime(path).write(
        *(
            f"set table TABLE key {IPv4Address(FIRST + n)} data.server_id {2 if n < OF_SERVER_2 else 1}"
            for n in range(ENTRIES)
        )
    )


def naive_table(path: str) -> list[dict[str, str]]:
    """As most clients do it: everything into one text, then lines, then words."""
    text = ""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"show table TABLE\n")
        while chunk := client.recv(16384):
            text += chunk.decode()
    return [
        dict(field.split("=", 1) for field in line.split()[1:]) for line in text.splitlines() if line.startswith("0x")
    ]


def mean_ms(operation: Callable[[], object]) -> Contender:
    """The wall time of one operation, in ms: the mean of twenty."""

    def run() -> float:
        start = perf_counter()
        for _ in range(20):
            operation()
        return (perf_counter() - start) / 20 * 1000

    return run


@benchmark(
    "haproxy/operation", over=("socat",), goal=at_least(50, "times"), baseline="echo … | socat", rounds=40, quick=8
)
def operation(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The weight of a server set, connecting anew, against the line of a runbook that does the same: `echo … | socat`.

    A socat that is started without a shell takes about 50 times as long as a bare socket, which is what lbkit adds 15 µs to.
    """
    with haproxy() as (path, _):
        runtime = Runtime(path)
        typed = ["sh", "-c", f"echo '{OPERATION}' | {program('socat')} stdio {path}"]
        ours = mean_ms(lambda: runtime.write(OPERATION))
        return ratio(rounds, over=("socat", wall_ms(typed, says=b"\n")), under=("lbkit", ours))


@benchmark(
    "haproxy/cold", over=("haproxyadmin",), goal=at_least(5, "times"), baseline="haproxyadmin", rounds=40, quick=8
)  # fmt: skip
def operation_cold(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The weight of a server set and read back, connecting anew, against haproxyadmin from the start: its `HAProxy` made,
    the server looked up, its weight set.
    """
    try:
        from haproxyadmin import haproxy as admin
    except ImportError as missing:
        raise NotInstalledError(str(missing)) from None
    with haproxy() as (path, _):
        theirs = mean_ms(lambda: admin.HAProxy(socket_file=path).server("s1", backend="TABLE")[0].setweight(5))
        ours = mean_ms(lambda: Runtime(path).set_weight("TABLE", "s1", 5))
        return ratio(rounds, over=("haproxyadmin", theirs), under=("lbkit", ours))


@benchmark("haproxy/batch", over=(str(BATCH),), goal=at_least(10, "times"), baseline="one by one", rounds=20, quick=4)
def batch(remotes: Remotes, count: str, rounds: int) -> Measured:
    """100 operations in one batch, against the same one by one, each with a connection of its own; both by lbkit."""
    commands = [f"set server TABLE/s1 weight {n + 1}" for n in range(int(count))]
    with haproxy() as (path, _):
        runtime = Runtime(path)

        def one_by_one() -> None:
            for command in commands:
                runtime.write(command)

        at_once = mean_ms(lambda: runtime.write(*commands))
        return ratio(rounds, over=("one by one", mean_ms(one_by_one)), under=("batch", at_once))


@benchmark("haproxy/table", goal=at_least(2.3, "times"), baseline="a plain client", rounds=11, quick=2)
def table(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """A stick table of 100,000 entries with five kinds of data, fetched and read into typed entries, against a plain client
    that puts the answer together as one text and takes it apart by lines and words.
    """
    with haproxy() as (path, _):
        fill(path)
        runtime = Runtime(path)
        naive = call_ms(lambda: len(naive_table(path)) == ENTRIES)
        ours = call_ms(lambda: len(runtime.table("TABLE")) == ENTRIES)
        return ratio(rounds, over=("plain", naive), under=("lbkit", ours))


@benchmark(
    "haproxy/filter", over=("key", "server"),
    goal=at_least(50, "times"), baseline="a plain client that fetches all", rounds=11, quick=2,
)  # fmt: skip
def filtered(remotes: Remotes, by: str, rounds: int) -> Measured:
    """One key, or the 100 entries of one server, out of the same table: found by HAProxy, against the plain client that
    fetches all of it and looks for itself.
    """
    key = "10.0.0.7"
    with haproxy() as (path, _):
        fill(path)
        runtime = Runtime(path)
        if by == "key":
            ours = call_ms(lambda: len(runtime.table("TABLE", key=key)) == 1)
            naive = call_ms(lambda: sum(one["key"] == key for one in naive_table(path)) == 1)
        else:
            ours = call_ms(lambda: len(runtime.table("TABLE", server_id=2)) == OF_SERVER_2)
            naive = call_ms(lambda: sum(one["server_id"] == "2" for one in naive_table(path)) == OF_SERVER_2)
        return ratio(rounds, over=("plain", naive), under=("lbkit", ours))


@benchmark(
    "haproxy/stats", over=(str(SERVERS),), goal=at_least(2.5, "times"), baseline="haproxy-stats", rounds=21, quick=4
)
def stats(remotes: Remotes, count: str, rounds: int) -> Measured:
    """The statistics of 1,000 servers with a comma in the reason of every check, each row read right, against haproxy-stats
    on the statistics page, which reads them wrong.
    """
    from haproxystats import HAProxyServer

    import lbkit.haproxy.statistics_page  # noqa: F401 - haproxy-stats would set up this process's logging

    with haproxy(CHECKED) as (path, port):
        runtime = Runtime(path)
        wait_until(lambda: sum(row["status"] == "DOWN" for row in runtime.stats("MANY")) > SERVERS)

        def ours() -> bool:
            return sum(REASON in row["last_chk"] and row["mode"] == "tcp" for row in runtime.stats()) == int(count)

        def theirs() -> bool:
            return len(HAProxyServer(f"127.0.0.1:{port}").listeners) >= int(count)

        return ratio(rounds, over=("haproxy-stats", call_ms(theirs)), under=("lbkit", call_ms(ours)))
