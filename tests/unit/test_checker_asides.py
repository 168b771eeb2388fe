"""Checks that are no conversation, among others in a Checker: each in a thread, with its own deadline."""

import asyncio
import threading
import time

import pytest
from unit.greeting import check_of
from unit.remotes import replies

from lbkit.checks import many
from lbkit.checks.conversation import up
from lbkit.checks.kind import Aside, CheckKind, Params
from lbkit.checks.many import Checker, run_many
from lbkit.checks.target import Target
from lbkit.errors import CannotRun, Misuse

pytestmark = pytest.mark.usefixtures("no_file_is_left_open")


class Slow(Aside):
    """Up after a while, unless it is abandoned."""

    def __init__(self, seconds=0.0, error=None):
        self.seconds = seconds
        self.error = error
        self.now = self.most = self.runs = 0
        self.abandoned = threading.Event()
        self._lock = threading.Lock()

    def target(self, text):
        if text == "wrong":
            raise Misuse("no such target")
        return Target(text, 1)

    def run(self, target, steps, abandoned):
        with self._lock:
            self.now += 1
            self.runs += 1
            self.most = max(self.most, self.now)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if abandoned():
                self.abandoned.set()
                break
            time.sleep(0.005)
        with self._lock:
            self.now -= 1
        if self.error:
            raise self.error
        steps["waited"] = self.seconds
        return up(f"waited for {target.host}", "waited")


def slow_check(aside, **given):
    return CheckKind("slow", "", Params, lambda params: aside).prepare({"timeout": 5, **given})


async def collect(requests, at_once=1000):
    return [result async for result in run_many(requests, at_once)]


def test_it_reads_its_own_targets_and_runs_alone():
    check = slow_check(Slow(0.02))
    result = check.run(check.target("a"))
    assert (result.status, result.target, result.message, result.steps) == (
        "up",
        "a:1",
        "waited for a",
        {"waited": 0.02},
    )
    assert 0.02 <= result.duration < 1
    with pytest.raises(Misuse):
        check.target("wrong")


def test_many_run_side_by_side_and_delay_no_conversation(listener):
    remote, aside = listener(replies(b"220\n")), Slow(0.3)
    requests = [(slow_check(aside), Target(f"t{i}", 1)) for i in range(5)]
    started = time.monotonic()
    results = asyncio.run(collect([*requests, (check_of(), Target(remote.host, remote.port))]))
    assert time.monotonic() - started < 0.9
    assert results[0].check == "greet"
    assert results[0].duration < 0.25
    assert sorted(result.message for result in results[1:]) == [f"waited for t{i}" for i in range(5)]
    assert aside.most == 5
    assert all(0.3 <= result.duration < 0.6 for result in results[1:])


def test_no_more_than_so_many_threads_run_at_once_and_all_come_to_their_turn(monkeypatch):
    monkeypatch.setattr(many, "_ASIDES", 2)
    aside = Slow(0.02)
    results = asyncio.run(collect([(slow_check(aside), Target(f"t{i}", 1)) for i in range(7)]))
    assert sorted(result.target for result in results) == [f"t{i}:1" for i in range(7)]
    assert aside.most == 2
    assert all(result.duration < 0.1 for result in results)  # the clock of each runs from its turn


def test_places_are_given_back(listener):
    aside = Slow(0.01)
    results = asyncio.run(collect([(slow_check(aside), Target(f"t{i}", 1)) for i in range(4)], at_once=1))
    assert len(results) == 4
    assert aside.most == 1


def test_equal_checks_of_one_target_run_once():
    aside = Slow(0.02)
    check = slow_check(aside)

    async def twice():
        async with Checker() as checker:
            return await asyncio.gather(*(checker.start(check, Target("t", 1)) for _ in range(3)))

    first, second, third = asyncio.run(twice())
    assert first is second is third


@pytest.mark.parametrize("error", [CannotRun("no right"), ZeroDivisionError()])
def test_what_it_raises_belongs_to_who_awaits_it(error):
    async def run():
        async with Checker() as checker:
            return await checker.start(slow_check(Slow(error=error)), Target("t", 1))

    with pytest.raises(type(error)):
        asyncio.run(run())


def test_one_that_gets_no_thread_can_not_be_run_and_those_behind_it_have_their_turn(monkeypatch):
    monkeypatch.setattr(many, "_ASIDES", 1)
    start, started = many.start_new_thread, []

    def second_fails(*work):
        started.append(work)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        start(*work)

    monkeypatch.setattr(many, "start_new_thread", second_fails)

    async def run():
        async with Checker() as checker:
            futures = [checker.start(slow_check(Slow(0.01)), Target(f"t{i}", 1)) for i in range(3)]
            return await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 5)

    first, second, third = asyncio.run(run())
    assert (first.status, third.status) == ("up", "up")
    assert isinstance(second, CannotRun)
    assert "none can be had" in str(second)


def test_its_own_deadline_is_the_only_one():
    (result,) = asyncio.run(collect([(slow_check(Slow(0.1), timeout=0.01), Target("t", 1))]))
    assert result.status == "up"


def test_leaving_the_checker_cancels_it_at_once_and_tells_it(monkeypatch):
    monkeypatch.setattr(many, "_ASIDES", 1)
    aside = Slow(5)

    async def leave():
        async with Checker() as checker:
            futures = [checker.start(slow_check(aside), Target(f"t{i}", 1)) for i in range(3)]
            while not aside.runs:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # the loop lives on
        return futures

    started = time.monotonic()
    futures = asyncio.run(leave())
    assert time.monotonic() - started < 3
    assert all(future.cancelled() for future in futures)
    assert aside.abandoned.wait(3)
    assert aside.runs == 1
