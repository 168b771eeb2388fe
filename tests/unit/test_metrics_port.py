"""The agent's page of metrics over HTTP: to whoever asks as Prometheus does, and to whoever does not."""

from __future__ import annotations

import asyncio
import grp
import http.client
import io
import os
import socket
import stat
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from interop.remotes import HOST, free_port
from prometheus_client.parser import text_string_to_metric_families
from unit.told_figures import everything

from lbkit.agent import metrics_port
from lbkit.agent.metrics_port import LONGEST, MOST_CLIENTS, PATIENCE, MetricsPort
from lbkit.metrics.page import page
from lbkit.site.reporting import Metrics

GET = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def figures(tmp_path):
    return everything(tmp_path)


@pytest.fixture
def site(figures):
    """The site, with its metrics where it is told."""

    def at(port=None, path=None, group=None):
        agent = figures.site.agent.model_copy(update={"group": group})
        metrics = Metrics.model_construct(port=port, socket=path and str(path)) if port or path else None
        return figures.site.model_copy(update={"metrics": metrics, "agent": agent})

    return at


@asynccontextmanager
async def serving(figures, site):
    async def now():
        return figures

    port = MetricsPort(now)
    await port.take(site)
    assert port.trouble == ""
    try:
        yield port
    finally:
        await port.close()


async def said(where, request, end=False):
    """All that is answered until the connection ends, or is cut off. `where`: a port, or the path of a socket."""
    connecting = (
        asyncio.open_unix_connection(str(where)) if not isinstance(where, int) else asyncio.open_connection(HOST, where)
    )
    reader, writer = await connecting
    heard = b""
    with suppress(ConnectionError):
        writer.write(request)
        if end:
            writer.write_eof()
        while part := await reader.read(1 << 16):
            heard += part
    writer.close()
    return heard


def asked(figures, site, *requests, where=None):
    """The answers, each on a connection of its own."""

    async def run():
        async with serving(figures, site):
            return [await said(where or site.metrics.port, one) for one in requests]

    return asyncio.run(run())


def parsed(answer):
    """Status, headers, body; as http.client reads them."""

    class Connection:
        def makefile(self, mode):
            return io.BytesIO(answer)

    response = http.client.HTTPResponse(Connection())
    response.begin()
    body = response.read()
    return response.status, dict(response.getheaders()), body


def test_prometheus_gets_the_whole_page(figures, site):
    (answer,) = asked(figures, site(free_port()), GET % b"/metrics")
    status, headers, body = parsed(answer)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert int(headers["Content-Length"]) == len(body)
    assert body.decode() == "".join(page(figures))
    assert len(list(text_string_to_metric_families(body.decode()))) > 20


def test_it_can_be_asked_at_a_unix_socket_by_any_name(figures, site, tmp_path):
    path = tmp_path / "metrics.sock"
    request = b"GET /metrics HTTP/1.1\r\nHost: anything.example\r\n\r\n"
    (answer,) = asked(figures, site(path=path), request, where=path)
    assert parsed(answer)[0] == 200
    assert not path.exists()


def test_the_socket_is_for_the_agents_group_alone(figures, site, tmp_path):
    path, group = tmp_path / "metrics.sock", grp.getgrgid(os.getgid()).gr_name

    async def run():
        async with serving(figures, site(path=path, group=group)):
            return path.stat()

    found = asyncio.run(run())
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getgid())


def test_a_socket_that_was_left_behind_is_replaced_and_any_other_file_stays(figures, site, tmp_path):
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    (answer,) = asked(figures, site(path=path), GET % b"/metrics", where=path)
    assert parsed(answer)[0] == 200
    path.write_text("precious")

    async def run():
        port = MetricsPort(None)
        await port.take(site(path=path))
        await port.close()
        return port.trouble

    assert "metrics.sock: Address already in use" in asyncio.run(run())
    assert path.read_text() == "precious"


def test_a_socket_that_somebody_serves_is_left_to_him(site, tmp_path):
    path = tmp_path / "agent.sock"

    async def run():
        port = MetricsPort(None)
        await port.take(site(path=path))
        await port.close()
        return port.trouble

    with socket.socket(socket.AF_UNIX) as his:
        his.bind(str(path))
        his.listen()
        assert "agent.sock: Address already in use" in asyncio.run(run())
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(path))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET % b"/", 200),
        (GET % b"/metrics?name[]=x", 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (GET % b"/metric", 404),
        (GET % b"/metrics/", 404),
        (GET % b"../../etc/passwd", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"get /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"\xff\x00 \xff \xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * LONGEST + b"\r\n\r\n", 431),
        (b"x" * 2 * LONGEST, 431),
    ],
)
def test_whatever_is_asked_is_answered_as_http_has_it(figures, site, request_, status):
    (answer,) = asked(figures, site(free_port()), request_)
    found, headers, body = parsed(answer)
    assert (found, headers["Connection"]) == (status, "close")
    assert body


def test_a_method_that_is_not_served_is_told_which_is(figures, site):
    (answer,) = asked(figures, site(free_port()), b"DELETE /metrics HTTP/1.1\r\n\r\n")
    assert parsed(answer)[1]["Allow"] == "GET"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:7780", 200),
        ("LOCALHOST:7780", 200),
        ("[::1]:7780", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("192.0.2.1", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_over_tcp_only_who_names_this_machine_is_answered(figures, site, host, status):
    request = f"GET /metrics HTTP/1.1\r\nhOST:  {host} \r\n\r\n".encode()
    (answer,) = asked(figures, site(free_port()), request)
    assert parsed(answer)[0] == status


def test_who_calls_it_otherwise_is_told_how_to(figures, site):
    (answer,) = asked(figures, site(free_port()), b"GET /metrics HTTP/1.1\r\nHost: lb1:7780\r\n\r\n")
    assert b"answers to localhost and loopback addresses alone" in parsed(answer)[2]


def test_of_two_names_the_wrong_one_counts(figures, site):
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    (answer,) = asked(figures, site(free_port()), request)
    assert parsed(answer)[0] == 403


def test_it_listens_on_loopback_alone(figures, site):
    port = free_port()

    async def run():
        async with serving(figures, site(port)) as made:
            return [one.getsockname() for one in made._server.sockets]

    assert asyncio.run(run()) == [(HOST, port)]


def test_who_asks_too_slowly_is_hung_up_on_in_time(figures, site, monkeypatch):
    monkeypatch.setattr(metrics_port, "PATIENCE", 0.1)
    begun = time.monotonic()
    assert asked(figures, site(free_port()), b"GET /metrics HTT") == [b""]
    assert time.monotonic() - begun < 2


def test_who_does_not_read_the_answer_is_hung_up_on_in_time(figures, site, monkeypatch):
    monkeypatch.setattr(metrics_port, "PATIENCE", 0.1)
    receivers = {f"r{number}": "" for number in range(100_000)}  # far more than the kernel's buffers take
    long = replace(figures, state=replace(figures.state, receivers=receivers))

    async def run():
        port = free_port()
        async with serving(long, site(port)) as made:
            _, writer = await asyncio.open_connection(HOST, port, limit=1)
            writer.write(GET % b"/metrics")
            await asyncio.sleep(0.05)
            deadline = time.monotonic() + 5
            while made._clients and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            writer.transport.abort()
            return len(made._clients), time.monotonic() < deadline

    assert asyncio.run(run()) == (0, True)


def test_who_leaves_early_takes_nobody_along(figures, site):
    async def run():
        port, failed = free_port(), []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failed.append(context))
        async with serving(figures, site(port)) as made:
            for request in (b"", b"GET /me", GET % b"/metrics"):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.write(request)
                writer.transport.abort()
            assert await said(port, b"GET /me", end=True) == b""
            answer = await said(port, GET % b"/metrics")
            await asyncio.sleep(0.01)
            return parsed(answer)[0], len(made._clients), failed

    assert asyncio.run(run()) == (200, 0, [])


def test_too_many_at_once_are_sent_away_and_the_others_answered(figures, site):
    async def run():
        port = free_port()
        async with serving(figures, site(port)):
            waiting = [await asyncio.open_connection(HOST, port) for _ in range(MOST_CLIENTS)]
            await asyncio.sleep(0.01)
            away = await said(port, GET % b"/metrics")
            for _, writer in waiting:
                writer.write(GET % b"/")
            answers = [await reader.read() for reader, _ in waiting]
            for _, writer in waiting:
                writer.close()
            return away, {parsed(answer)[0] for answer in answers}, parsed(await said(port, GET % b"/"))[0]

    assert asyncio.run(run()) == (b"", {200}, 200)


def test_while_a_long_page_is_written_the_loop_goes_on(figures):
    receivers = {f"r{number}": "" for number in range(50_000)}  # some 30 ms
    long = replace(figures, state=replace(figures.state, receivers=receivers))

    async def now():
        return long

    async def run():
        writing, turns = asyncio.create_task(MetricsPort(now)._page()), 0
        while not writing.done():
            await asyncio.sleep(0)
            turns += 1
        return turns, len(await writing)

    turns, size = asyncio.run(run())
    assert size > 2_000_000
    assert turns > 10


def test_figures_that_can_not_be_had_are_an_answer_and_in_the_log(site, caplog):
    async def broken():
        raise KeyError("x")

    async def run():
        port = MetricsPort(broken)
        at = site(free_port())
        await port.take(at)
        answer = await said(at.metrics.port, GET % b"/metrics")
        await port.close()
        return answer

    assert parsed(asyncio.run(run()))[0] == 500
    assert "the page of metrics can't be written" in caplog.text


def test_another_site_is_served_where_it_says(figures, site, tmp_path):
    first, second, path = free_port(), free_port(), tmp_path / "metrics.sock"

    async def run():
        async with serving(figures, site(first)) as port:
            server = port._server
            await port.take(site(first))
            assert port._server is server
            await port.take(site(second))
            moved = parsed(await said(second, GET % b"/"))[0]
            with pytest.raises(ConnectionRefusedError):
                await said(first, GET % b"/")
            await port.take(site(path=path))
            there = parsed(await said(path, GET % b"/"))[0]
            await port.take(site())
            with pytest.raises(ConnectionRefusedError):
                await said(second, GET % b"/")
            return moved, there, path.exists()

    assert asyncio.run(run()) == (200, 200, False)


def test_a_port_that_is_taken_is_trouble_until_it_can_be_had(figures, site, monkeypatch, caplog):
    monkeypatch.setattr(metrics_port, "AGAIN", 0.02)

    async def run():
        async def now():
            return figures

        port = MetricsPort(now)
        with socket.create_server((HOST, 0)) as taken:
            at = site(taken.getsockname()[1])
            await port.take(at)
            await asyncio.sleep(0.1)
            trouble = port.trouble
        deadline = time.monotonic() + 5
        while port.trouble and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        answer = await said(at.metrics.port, GET % b"/")
        await port.close()
        return trouble, port.trouble, parsed(answer)[0]

    trouble, after, status = asyncio.run(run())
    assert "Address already in use. Free it, or give another ([metrics] port or socket)." in trouble
    assert (after, status) == ("", 200)
    assert caplog.text.count("can't be served") == 1


def test_a_port_that_could_not_be_had_is_not_tried_again_once_the_site_has_another(site, monkeypatch):
    monkeypatch.setattr(metrics_port, "AGAIN", 0.02)

    async def run():
        port = MetricsPort(None)
        with socket.create_server((HOST, 0)) as taken:
            first = taken.getsockname()[1]
            await port.take(site(first))
            await port.take(site())
            trouble = port.trouble
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await said(first, GET % b"/")
        return trouble

    assert asyncio.run(run()) == ""


def test_a_socket_whose_path_is_too_long_is_trouble_that_says_so(site, tmp_path):
    async def run():
        port = MetricsPort(None)
        await port.take(site(path=tmp_path / ("x" * 100)))
        await port.close()
        return port.trouble

    assert "path too long" in asyncio.run(run())


def test_whoever_is_being_answered_at_the_end_is_hung_up_on(figures, site):
    async def run():
        port = free_port()
        async with serving(figures, site(port)) as made:
            reader, writer = await asyncio.open_connection(HOST, port)
            await asyncio.sleep(0.01)
            await made.close()
            async with asyncio.timeout(PATIENCE / 2):
                with suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
            await asyncio.sleep(0.01)
            return len(made._clients)

    assert asyncio.run(run()) == 0
