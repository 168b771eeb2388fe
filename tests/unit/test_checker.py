"""Many checks at once: places, targets, sharing, deadlines, and what is left behind."""

import asyncio
import errno
import gc
import threading
import time

import pytest
from unit.greeting import check_of, greeting
from unit.remotes import black_hole, flood, hang_up, replies, silent

from lbkit import CannotRun
from lbkit.checks import blocking, many, names, underway
from lbkit.checks.conversation import up
from lbkit.checks.many import Checker, run_many
from lbkit.checks.target import Target

pytestmark = pytest.mark.usefixtures("no_file_is_left_open")


class Crowd:
    """A script that counts how many clients it has at once."""

    def __init__(self, seconds=0.03):
        self.seconds = seconds
        self.now = self.most = self.all = 0
        self._lock = threading.Lock()

    def __call__(self, client):
        with self._lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self._lock:
            self.now -= 1
        client.sendall(b"220\n")
        client.recv(1)


def at(remote):
    return Target(remote.host, remote.port)


async def collect(requests, at_once=1000):
    return [result async for result in run_many(requests, at_once)]


# --- targets and places ---------------------------------------------------------------------------------------------


def test_different_checks_of_one_target_run_one_after_the_other(listener):
    crowd = Crowd()
    target = at(listener(crowd))
    results = asyncio.run(collect([(check_of(timeout=5 + i), target) for i in range(5)]))
    assert [result.status for result in results] == ["up"] * 5
    assert (crowd.most, crowd.all) == (1, 5)


def test_checks_of_different_targets_run_side_by_side_and_no_more_than_at_once(listener):
    crowd = Crowd()
    requests = [(check_of(), at(listener(crowd))) for _ in range(7)]
    started = time.monotonic()
    assert len(asyncio.run(collect(requests))) == 7
    assert time.monotonic() - started < 5 * crowd.seconds
    assert crowd.most > 2
    crowd.most = 0
    assert len(asyncio.run(collect(requests, at_once=2))) == 7
    assert crowd.most == 2


def test_equal_checks_of_equal_targets_run_once_and_are_told_to_all(listener):
    crowd = Crowd()
    target = at(listener(crowd))
    results = asyncio.run(collect([(check_of(), target), (check_of(), Target(target.host, target.port))] * 2))
    assert [result.status for result in results] == ["up"] * 4
    assert crowd.all == 1


def test_a_check_that_has_ended_is_run_anew(listener):
    crowd = Crowd(0)
    target = at(listener(crowd))

    async def twice():
        async with Checker() as checker:
            first = await checker.start(check_of(), target)
            return first is await checker.start(check_of(), target)

    assert asyncio.run(twice()) is False
    assert crowd.all == 2


def test_results_come_as_they_are_found_and_never_wait_for_the_slow(listener):
    slow, quick = listener(Crowd(0.2)), listener(Crowd(0))

    results = asyncio.run(collect([(check_of(), at(slow)), (check_of(), at(quick))]))
    assert [result.target for result in results] == [quick.target, slow.target]
    assert results[0].duration < 0.15


def test_requests_are_taken_from_the_iterable_as_there_is_room(listener):
    remote = listener(replies(b"220\n"))
    taken = []

    def requests():
        for i in range(50):
            taken.append(i)
            yield check_of(timeout=1 + i), at(remote)

    async def ahead():
        return max([len(taken) - told async for told in numbered(run_many(requests(), at_once=2))])

    async def numbered(results):
        told = 0
        async for _ in results:
            yield told
            told += 1

    assert asyncio.run(ahead()) <= 4
    assert len(taken) == 50


# --- deadlines ------------------------------------------------------------------------------------------------------


def test_each_check_keeps_its_own_deadline(listener):
    remotes = [listener(silent) for _ in range(4)]
    timeouts = (0.3, 0.1, 0.2, 0.1)
    requests = [(check_of(timeout=seconds), at(remote)) for seconds, remote in zip(timeouts, remotes, strict=True)]
    results = asyncio.run(collect(requests))
    assert [result.message for result in results] == [f"no answer within {s} s" for s in (0.1, 0.1, 0.2, 0.3)]
    assert all(float(result.message.split()[3]) <= result.duration < 0.6 for result in results)


def test_the_clock_of_a_check_runs_from_its_turn(listener):
    target = at(listener(Crowd(0.1)))
    results = asyncio.run(collect([(check_of(timeout=0.25 + i / 100), target) for i in range(4)]))
    assert [result.status for result in results] == ["up"] * 4
    assert all(result.duration < 0.25 for result in results)


def test_a_flood_leaves_other_checks_their_turn(listener, monkeypatch):
    monkeypatch.setattr(underway, "READ_SIZE", 256)  # so that reading is slower than the flood

    def never():
        while True:
            yield "listen", b""

    flooding, serving = listener(flood), listener(replies(b"220\n"))

    async def both():
        async with Checker() as checker:
            flooded = checker.start(check_of(never, timeout=0.5), at(flooding))
            await asyncio.sleep(0.05)
            served = await checker.start(check_of(), at(serving))
            return served, flooded.done(), await flooded

    served, flood_had_ended, flooded = asyncio.run(both())
    assert (served.status, flood_had_ended, flooded.reason) == ("up", False, "timed-out")


def test_what_is_left_to_read_after_its_turn_is_read_at_the_next(listener, monkeypatch):
    monkeypatch.setattr(underway, "_READS", 1)

    def patient():
        received = yield "listen", b"all"
        time.sleep(0.02)  # the rest has come by now, and no event will tell of it again
        while len(received) < 40000:
            received += yield "listen", b""
        return up("that is all")

    remote = listener(replies(b"." * 40000))
    (result,) = asyncio.run(collect([(check_of(patient, timeout=0.5), at(remote))]))
    assert result.message == "that is all"


def test_a_connection_that_is_reset_before_the_loop_looks_is_reset_at_the_first_step(listener):
    async def look_late():
        async with Checker() as checker:
            result = checker.start(check_of(), at(listener(hang_up)))
            time.sleep(0.05)
            return await result

    result = asyncio.run(look_late())
    assert (result.step, result.reason) == ("greet", "reset")


# --- a place becomes free however a check ends ----------------------------------------------------------------------


def broken():
    raise ZeroDivisionError
    yield


@pytest.mark.parametrize("one", [broken, greeting], ids=["raises", "times out"])
def test_the_next_check_gets_the_place_of_one_that_failed(listener, one):
    quiet, serving = listener(silent), listener(replies(b"220\n"))

    async def both():
        async with Checker(at_once=1) as checker:
            first = checker.start(check_of(one, timeout=0.05), at(quiet))
            second = checker.start(check_of(), at(serving))
            third = checker.start(check_of(timeout=0.06), at(quiet))
            return await asyncio.gather(first, second, third, return_exceptions=True)

    first, second, third = asyncio.run(both())
    assert isinstance(first, ZeroDivisionError) or first.reason == "timed-out"
    assert (second.status, third.reason) == ("up", "timed-out")


@pytest.mark.parametrize("error", [OSError(errno.EAFNOSUPPORT, "no such family"), CannotRun("no more files")])
def test_an_address_that_is_given_up_for_one_that_fails_at_once_frees_its_place_at_once(listener, monkeypatch, error):
    def open_socket(family, flags):
        if family == 0:
            raise error
        return blocking.open_socket(family, flags)

    serving = listener(replies(b"220\n"))
    monkeypatch.setattr(underway, "open_socket", open_socket)
    with black_hole() as port:
        monkeypatch.setattr(names, "look_up", lambda host, _: [(2, ("127.0.0.1", port)), (0, ("::1", port))])

        async def both():
            async with Checker(at_once=1) as checker:
                first = checker.start(check_of(timeout=0.4), Target("ccw.example", port))
                second = checker.start(check_of(), at(serving))
                started = time.monotonic()
                assert (await second).status == "up"
                (ended,) = await asyncio.gather(first, return_exceptions=True)
                return ended, time.monotonic() - started

        ended, took = asyncio.run(both())
    assert ended is error or ended.reason == "unreachable"
    assert 0.15 < took < 0.35


def test_few_names_are_looked_up_at_once_and_all_in_the_end(listener, monkeypatch):
    remote = listener(replies(b"220\n"))
    under_way, seen = [], []

    def look_up(host, port):
        under_way.append(host)
        time.sleep(0.02)
        seen.append(len(under_way))
        under_way.remove(host)
        return [(2, ("127.0.0.1", port))]

    monkeypatch.setattr(many, "_LOOK_UPS", 2)
    monkeypatch.setattr(names, "look_up", look_up)
    results = asyncio.run(collect([(check_of(), Target(f"host-{i}", remote.port)) for i in range(7)]))
    assert [result.status for result in results] == ["up"] * 7
    assert max(seen) == 2


def test_a_name_that_waits_for_its_look_up_keeps_its_deadline(monkeypatch):
    monkeypatch.setattr(many, "_LOOK_UPS", 1)
    monkeypatch.setattr(names, "look_up", lambda host, port: time.sleep(0.15) or [(2, ("127.0.0.1", port))])
    results = asyncio.run(collect([(check_of(timeout=0.05), Target(f"host-{i}", 1)) for i in range(3)]))
    assert [(result.step, result.reason) for result in results] == [("dns", "timed-out")] * 3
    assert all(result.duration < 0.25 for result in results)
    time.sleep(0.15)  # the thread has ended by then


def test_what_a_check_gets_wrong_at_its_deadline_is_raised_too(listener):
    def clumsy():
        try:
            yield "greet", b""
        finally:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(collect([(check_of(clumsy, timeout=0.05), at(listener(silent)))]))


def test_without_a_descriptor_after_the_look_up_a_check_cannot_run(monkeypatch):
    def none_left(family, flags):
        raise CannotRun("a socket can't be opened")

    monkeypatch.setattr(underway, "open_socket", none_left)
    with pytest.raises(CannotRun):
        asyncio.run(collect([(check_of(), Target("localhost", 1))]))


# --- leaving, cancelling --------------------------------------------------------------------------------------------


def test_leaving_cancels_what_is_under_way_and_what_waits(listener):
    one, other = listener(silent), listener(silent)

    async def leave():
        async with Checker(at_once=1) as checker:
            futures = [
                checker.start(check_of(), at(one)),
                checker.start(check_of(timeout=4), at(one)),
                checker.start(check_of(), at(other)),
                checker.start(check_of(), Target("localhost", other.port)),
            ]
            await asyncio.sleep(0.02)
        return [future.cancelled() for future in futures]

    assert asyncio.run(leave()) == [True] * 4


def test_leaving_while_a_name_is_looked_up_harms_nobody(monkeypatch):
    def slow(host, port):
        time.sleep(0.1)
        return [(2, ("127.0.0.1", port))]

    monkeypatch.setattr(names, "look_up", slow)

    async def leave(linger):
        async with Checker() as checker:
            checker.start(check_of(), Target("ccw.example", 1))
        await asyncio.sleep(linger)

    asyncio.run(leave(0.15))
    asyncio.run(leave(0))
    time.sleep(0.15)


def test_stopping_early_ends_the_rest(listener):
    remotes = [listener(Crowd(0)) for _ in range(3)] + [listener(silent)]

    async def first():
        results = run_many([(check_of(), at(remote)) for remote in remotes])
        async for _ in results:
            break
        await results.aclose()
        return len(asyncio.all_tasks())

    assert asyncio.run(first()) == 1


@pytest.mark.parametrize("when", ["under way", "waiting"])
def test_a_check_that_nobody_awaits_any_more_leaves_the_target_to_the_next(listener, when):
    target = at(listener(replies(b"220\n")))

    async def cancel():
        async with Checker(at_once=1) as checker:
            first = checker.start(check_of(), target)
            second = checker.start(check_of(timeout=4), target)
            (first if when == "under way" else second).cancel()
            return await checker.start(check_of(timeout=3), target)

    assert asyncio.run(cancel()).status == "up"


def test_one_who_gives_up_waiting_does_not_end_an_equal_check_of_another(listener):
    target = at(listener(Crowd(0.1)))

    async def two():
        async with Checker() as checker:

            async def ask(patience):
                async with asyncio.timeout(patience):
                    return await checker.start(check_of(), target)

            return await asyncio.gather(ask(0.02), ask(5), return_exceptions=True)

    hasty, patient = asyncio.run(two())
    assert isinstance(hasty, TimeoutError)
    assert patient.status == "up"


def test_when_several_checks_cannot_run_the_first_is_raised_and_none_is_forgotten(listener):
    complaints = []

    async def all_broken():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        with pytest.raises(ZeroDivisionError):
            await collect([(check_of(broken), at(listener(silent))) for _ in range(4)])
        gc.collect()

    asyncio.run(all_broken())
    gc.collect()
    assert complaints == []
