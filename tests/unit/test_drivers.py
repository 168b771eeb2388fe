"""Both drivers over loopback: what they find is the same, whatever the remote, the network or this machine does."""

import _socket
import asyncio
import errno
import os
import resource
import time
from contextlib import contextmanager

import pytest
from unit.greeting import check_of
from unit.remotes import black_hole, drip, flood, hang_up, replies, reset, silent

from lbkit.checks import names
from lbkit.checks.blocking import connect_outcome
from lbkit.checks.conversation import down, up
from lbkit.checks.kind import TlsParams
from lbkit.checks.many import Checker
from lbkit.checks.names import NameFailed
from lbkit.checks.target import Target
from lbkit.errors import CannotRun

pytestmark = pytest.mark.usefixtures("no_file_is_left_open")


async def run_in_checker(check, target):
    async with Checker() as checker:
        return await checker.start(check, target)


@pytest.fixture(params=["blocking", "many"])
def run(request):
    """`run(check, host, port)`, with either driver."""

    def run(check, host, port):
        target = Target(host, port)
        if request.param == "blocking":
            return check.run(target)
        return asyncio.run(run_in_checker(check, target))

    return run


@pytest.fixture
def resolves(monkeypatch):
    """`resolves(address, …)`: what every name is looked up to; an exception is raised."""

    def resolves(*found, family=_socket.AF_INET):
        def look_up(host, port):
            if isinstance(found[0], Exception):
                raise found[0]
            return [one if isinstance(one[0], int) else (family, one) for one in found]

        monkeypatch.setattr(names, "look_up", look_up)

    return resolves


# --- what the remote does -------------------------------------------------------------------------------------------


def test_an_answer_is_the_outcome_and_each_step_has_its_time(run, listener):
    remote = listener(replies(b"220 hi\n"))
    result = run(check_of(), remote.host, remote.port)
    assert (result.check, result.target, result.status) == ("greet", remote.target, "up")
    assert (result.step, result.reason, result.message) == ("greet", "ok", "it says b'220 hi\\n'")
    assert list(result.steps) == ["connect", "greet"]
    assert 0 < sum(result.steps.values()) <= result.duration < 2
    assert result.details == {}


def test_a_port_where_nothing_listens_is_refused(run, listener):
    remote = listener(silent)
    remote.close()
    result = run(check_of(), remote.host, remote.port)
    assert (result.status, result.step, result.reason) == ("down", "connect", "refused")
    assert result.message.startswith(f"connection refused: nothing listens on {remote.target} ")
    assert list(result.steps) == ["connect"]


def test_no_answer_to_the_connection_request_is_timed_out_at_connect(run):
    with black_hole() as port:
        result = run(check_of(timeout=0.15), "127.0.0.1", port)
    assert (result.step, result.reason) == ("connect", "timed-out")
    assert "no answer to the connection request within 0.15 s" in result.message
    assert 0.14 < result.duration < 0.5


@pytest.mark.parametrize("script", [silent, drip, flood])
def test_no_remote_holds_a_check_beyond_its_deadline(run, listener, script):
    def never():
        while True:
            yield "listen", b""
            time.sleep(0.0005)  # slower than a flood

    remote = listener(script)
    result = run(check_of(never, timeout=0.2), remote.host, remote.port)
    assert (result.status, result.step, result.reason) == ("down", "listen", "timed-out")
    assert result.message == "no answer within 0.2 s"
    assert 0.19 < result.duration < 0.5


def test_a_remote_that_closes_is_told_to_the_protocol(run, listener):
    remote = listener(lambda client: client.recv(100))
    result = run(check_of(), remote.host, remote.port)
    assert (result.step, result.reason, result.message) == ("greet", "closed", "it says nothing")


def test_a_remote_that_resets_is_down_with_reset(run, listener):
    remote = listener(reset)
    result = run(check_of(), remote.host, remote.port)
    assert (result.step, result.reason) == ("greet", "reset")
    assert result.message == "the remote reset the connection"


def test_a_remote_that_resets_before_it_is_spoken_to_is_down_with_reset(run, listener):
    def late():
        time.sleep(0.05)
        return down("closed", f"it says {(yield 'greet', b'HELO')!r}")

    remote = listener(hang_up)
    result = run(check_of(late), remote.host, remote.port)
    assert (result.step, result.reason) == ("greet", "reset")


def test_what_a_remote_said_before_it_went_is_read_though_sending_fails(run, listener):
    def chatty():
        received = yield "greet", b"x"
        for _ in range(20):
            time.sleep(0.01)
            received = (yield "greet", b"x" * 9) or received
            if received.endswith(b"\n"):
                return up("it was heard")
        return down("closed", "it was not heard")

    def leave(client):
        client.recv(1)
        client.sendall(b"22")
        client.sendall(b"0\n")

    remote = listener(leave)
    assert run(check_of(chatty), remote.host, remote.port).message == "it was heard"


def test_much_to_send_is_sent_however_slowly_the_remote_reads(run, listener):
    most = 16_000_000  # more than the buffers of two kernels hold
    heard = []

    def slow(client):
        time.sleep(0.05)
        while sum(heard) < most:
            heard.append(len(client.recv(1 << 20)))
        client.sendall(b"all\n")

    def much():
        return up(repr((yield "upload", b"x" * most)))

    remote = listener(slow)
    assert run(check_of(much), remote.host, remote.port).message == r"b'all\n'"
    assert sum(heard) == most


def test_last_words_are_sent_and_the_connection_ends_with_fin_though_bytes_were_left_unread(run, listener):
    heard = []

    def wordy(client):
        client.sendall(b"220 hi\n" + b"." * 30000)
        while data := client.recv(100):
            heard.append(data)
        heard.append("end")

    def curt():
        yield "greet", b""
        return down("protocol-error", "too many words", last_words=b"bye")

    remote = listener(wordy)
    assert run(check_of(curt), remote.host, remote.port).reason == "protocol-error"
    remote.close()
    assert heard == [b"bye", "end"]


def test_what_a_check_gets_wrong_itself_is_raised(run, listener):
    def broken():
        yield "greet", b""
        raise ZeroDivisionError

    remote = listener(lambda client: client.sendall(b"hi"))
    with pytest.raises(ZeroDivisionError):
        run(check_of(broken), remote.host, remote.port)


def test_a_check_may_run_inside_tls(run, listener, throwaway_ca):
    context = throwaway_ca.server_context(wants_client=True)

    def secured(client):
        with context.wrap_socket(client, server_side=True) as inside:
            replies(b"220 hi\n")(inside)

    client = throwaway_ca.client
    files = {"ca_file": throwaway_ca.ca_file, "cert_file": client.cert_file, "key_file": client.key_file}
    remote = listener(secured)
    result = run(check_of(params=TlsParams, tls=True, **files), remote.host, remote.port)
    assert (result.status, result.message) == ("up", "it says b'220 hi\\n'")
    assert list(result.steps) == ["connect", "tls", "greet"]
    assert result.details["tls"]["version"] == "TLSv1.3"


# --- from name to address -------------------------------------------------------------------------------------------


def test_a_name_is_looked_up_and_its_address_is_told(run, listener):
    remote = listener(replies(b"220\n"))
    result = run(check_of(), "localhost", remote.port)
    assert (result.status, result.target) == ("up", f"localhost:{remote.port}")
    assert result.details == {"address": "127.0.0.1"}
    assert list(result.steps) == ["dns", "connect", "greet"]


@pytest.mark.parametrize("absent", [True, False])
def test_a_name_without_an_address_is_down_at_dns(run, resolves, absent):
    resolves(NameFailed(absent))
    result = run(check_of(), "ccw.example", 104)
    assert (result.status, result.step) == ("down", "dns")
    assert result.reason == ("name-not-found" if absent else "dns-failed")
    assert "ccw.example" in result.message
    assert list(result.steps) == ["dns"]


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "\udc80", "ü" * 70, "1.2.3.4.5"])
def test_a_name_that_can_have_no_address_is_down_at_dns(run, host):
    result = run(check_of(timeout=2), host, 104)
    assert (result.step, result.reason in ("name-not-found", "dns-failed")) == ("dns", True)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("EAI_NONAME", "name-not-found"), ("EAI_AGAIN", "dns-failed"), ("EAI_FAIL", "dns-failed")],
)
def test_a_name_that_is_absent_is_told_from_a_name_service_that_fails(run, monkeypatch, code, reason):
    def fails(*_):
        raise _socket.gaierror(getattr(_socket, code), "so says the resolver")

    monkeypatch.setattr(_socket, "getaddrinfo", fails)
    assert run(check_of(), "ccw.example", 104).reason == reason


def test_a_name_service_that_breaks_is_down_at_dns_at_once(run, monkeypatch):
    def broken(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(_socket, "getaddrinfo", broken)
    result = run(check_of(timeout=1), "ccw.example", 104)
    assert (result.step, result.reason) == ("dns", "dns-failed")


def test_a_name_service_that_hangs_is_timed_out_at_dns(run, monkeypatch):
    def hang(host, port):
        time.sleep(0.4)
        return [(_socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(names, "look_up", hang)
    result = run(check_of(timeout=0.1), "ccw.example", 104)
    assert (result.step, result.reason) == ("dns", "timed-out")
    assert 0.09 < result.duration < 0.35
    assert list(result.steps) == ["dns"]
    time.sleep(0.35)  # the thread has ended by then, and harms nobody


def test_addresses_are_tried_one_after_the_other(run, listener, resolves):
    remote = listener(replies(b"220\n"))
    resolves(("127.0.0.2", remote.port), ("127.0.0.3", remote.port), ("127.0.0.1", remote.port), ("127.0.0.4", 1))
    result = run(check_of(), "ccw.example", remote.port)
    assert (result.status, result.details) == ("up", {"address": "127.0.0.1"})


def test_an_address_that_does_not_answer_gets_its_share_of_the_time_only(run, listener, resolves):
    remote = listener(replies(b"220\n"))
    with black_hole() as port:
        resolves(("127.0.0.1", port), ("127.0.0.1", remote.port))
        result = run(check_of(timeout=2), "ccw.example", remote.port)
    assert result.status == "up"
    assert 0.8 < result.steps["connect"] < 1.6


def test_when_no_address_answers_the_last_failure_counts(run, resolves):
    resolves(("127.0.0.2", 1), ("127.0.0.3", 1))
    result = run(check_of(), "ccw.example", 1)
    assert (result.step, result.reason) == ("connect", "refused")


def test_an_address_of_a_family_that_this_machine_lacks_is_passed_over(run, listener, resolves):
    remote = listener(replies(b"220\n"))
    resolves((12345, ("::1", remote.port)), ("127.0.0.1", remote.port))
    assert run(check_of(), "ccw.example", remote.port).status == "up"


# --- this machine ---------------------------------------------------------------------------------------------------


@contextmanager
def no_more_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
    fillers = []
    try:
        while True:
            fillers.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        yield
    finally:
        for file in fillers:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_descriptor_a_check_cannot_run(listener):
    remote = listener(silent)
    check, target = check_of(), Target(remote.host, remote.port)
    with no_more_files(), pytest.raises(CannotRun, match=r"a socket can't be opened: .* See `ulimit -n`"):
        check.run(target)

    async def in_checker():
        async with Checker() as checker:
            with no_more_files(), pytest.raises(CannotRun, match=r"a socket can't be opened"):
                await checker.start(check, target)
            return await checker.start(check_of(timeout=0.1), target)

    assert asyncio.run(in_checker()).reason == "timed-out"


def test_without_a_descriptor_a_checker_cannot_start():
    async def enter():
        with no_more_files(), pytest.raises(CannotRun, match="See `ulimit -n`"):
            await Checker().__aenter__()

    asyncio.run(enter())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL, errno.EINVAL])
def test_a_failure_that_speaks_of_this_machine_is_no_verdict(number):
    with pytest.raises(CannotRun, match=r"\[::1\]:1 can't be tried from this machine"):
        connect_outcome(OSError(number, os.strerror(number)), "::1", 1, 5.0)


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EAFNOSUPPORT])
def test_a_host_that_cannot_be_reached_is_down_and_says_why(number):
    outcome = connect_outcome(OSError(number, os.strerror(number)), "192.0.2.1", 1, 5.0)
    assert (outcome.up, outcome.step, outcome.reason) == (False, "connect", "unreachable")
    assert os.strerror(number) in outcome.message
