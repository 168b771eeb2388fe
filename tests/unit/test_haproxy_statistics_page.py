"""The statistics page: what haproxy-stats does not do by itself, and pages that are none."""

from __future__ import annotations

import subprocess
import sys
from time import sleep

import pytest

from lbkit.errors import EngineError, Misuse, NotRunning, NotThere
from lbkit.haproxy.statistics_page import StatisticsPage

PAGE = b'# pxname,svname,iid,last_chk,\nA,s1,1,"503 Service, Unavailable",\nA,BACKEND,1,,\n'


def answers(*parts):
    """A script: one answer to a request, in parts."""

    def script(client):
        client.recv(4096)
        for part in parts:
            client.sendall(part)

    return script


def ok(body):
    return b"HTTP/1.0 200 OK\r\n\r\n" + body


def page(remote, **options):
    return StatisticsPage(f"http://{remote.target}/stats", **options)


def test_a_comma_in_quotes_ends_no_column(listener):
    (server, _) = page(listener(answers(ok(PAGE)))).stats("A")
    assert server["last_chk"] == "503 Service, Unavailable"


def test_a_page_that_failed_once_is_read_the_next_time(listener):
    bodies = iter([b"HTTP/1.0 503 Service Unavailable\r\n\r\n", ok(PAGE)])
    found = page(listener(lambda client: (client.recv(4096), client.sendall(next(bodies)))))
    with pytest.raises(NotThere, match="answers with status 503"):
        found.stats()
    assert found.failed
    assert found.stats()
    assert not found.failed


def test_nothing_is_fetched_before_it_is_asked_for(listener):
    remote = listener(answers(ok(PAGE)))
    made = page(remote)
    assert remote.accepted == 0
    made.stats()
    assert remote.accepted == 1


def test_importing_it_leaves_the_logging_of_the_program_alone():
    told = (
        "import logging, lbkit.haproxy.statistics_page; print(logging.getLogger().handlers, logging.getLogger().level)"
    )
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout == f"[] {30}\n"


def test_a_redirect_is_not_followed(listener):
    elsewhere = listener(answers(ok(PAGE)))
    found = page(listener(answers(f"HTTP/1.0 302 Found\r\nLocation: http://{elsewhere.target}/\r\n\r\n".encode())))
    with pytest.raises(NotThere, match="status 302"):
        found.stats()
    assert elsewhere.accepted == 0


def test_a_proxy_of_the_environment_is_not_asked(listener, monkeypatch):
    proxy = listener(answers(ok(b"")))
    monkeypatch.setenv("http_proxy", f"http://{proxy.target}")
    assert page(listener(answers(ok(PAGE)))).stats()
    assert proxy.accepted == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"# pxname,svname,\nA\n"])
def test_a_page_that_is_no_statistics_is_an_engine_error(listener, body):
    with pytest.raises(EngineError, match="can't be read"):
        page(listener(answers(ok(body)))).stats()


def test_a_page_without_end_is_given_up(listener, monkeypatch):
    def endless(client):
        client.recv(4096)
        client.sendall(ok(b""))
        while True:
            client.sendall(b"x" * 65536)

    monkeypatch.setattr("lbkit.haproxy.statistics_page.MOST_BYTES", 1 << 20)
    with pytest.raises(NotRunning, match="does not come to an end"):
        page(listener(endless)).stats()


def test_a_page_that_drips_is_given_up(listener):
    def drips(client):
        client.recv(4096)
        client.sendall(ok(b""))
        while True:
            client.sendall(b"x")
            sleep(0.02)

    with pytest.raises(NotRunning, match="does not come to an end"):
        page(listener(drips), timeout=0.05).stats()


def test_one_that_stays_silent_is_given_up(listener):
    with pytest.raises(NotRunning, match="can't be read"):
        page(listener(lambda client: client.recv(4096) and sleep(0.5)), timeout=0.1).stats()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8404", "ftp://a/", "http:///x", "http://joe:secret@a/", "http://a/\n"])
def test_a_url_that_is_none_or_holds_a_password_is_misuse_and_the_password_is_not_shown(url):
    with pytest.raises(Misuse, match="its password belongs into auth_file") as found:
        StatisticsPage(url)
    assert "secret" not in str(found.value)
