"""A watch: when it checks, and what it makes of results."""

import asyncio

import pytest

from lbkit.agent.watch import Key, Watch
from lbkit.checks.registry import Registry
from lbkit.checks.result import Result
from lbkit.checks.target import Target
from lbkit.errors import CannotRun

CHECK = Registry().kind("connect").prepare({})
TARGET = Target("192.0.2.1", 104)


def result(status):
    return Result("connect", str(TARGET), status, "connect", "refused", "", 0.0)


class Answers:
    """In the place of a Checker: each check gets the next of these, the last for ever; None: it runs on."""

    def __init__(self, *found):
        self.found = list(found)
        self.started = []
        self.pending = []

    def start(self, check, target):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.started.append(loop.time())
        answer = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(result(answer))
        else:
            self.pending.append(future)
        return future


def watching(answers, scenario, interval=0.02, rise=2, fall=2):
    async def run():
        heard = []
        watch = Watch(
            Key(CHECK, TARGET, interval, None, rise, fall), answers, lambda one: heard.append((one.state, one.error))
        )
        now = asyncio.get_running_loop().time()
        watch.start(now, now)
        await scenario(watch)
        watch.stop()
        return watch, heard

    return asyncio.run(run())


def until(condition):
    async def wait(watch):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    return wait


def test_results_add_up_to_health():
    answers = Answers("up", "down", "up", "down", "down", "up", "up", None)
    _, heard = watching(answers, until(lambda: len(answers.started) == 8))
    assert [state for state, _ in heard] == ["up", "up", "up", "up", "down", "down", "up"]


@pytest.mark.parametrize("error", [CannotRun("too many open files."), ZeroDivisionError("a plugin's")])
def test_what_keeps_a_check_from_running_says_nothing_about_the_server(error):
    answers = Answers("up", error, error, error, "up", None)
    watch, heard = watching(answers, until(lambda: len(answers.started) == 6))
    assert [state for state, _ in heard] == ["up"] * 5
    assert [bool(said) for _, said in heard] == [False, True, True, True, False]
    assert watch.error == ""


def test_the_first_of_several_downs_is_remembered_until_one_is_up():
    answers = Answers("up", "down", "down", None)
    watch, _ = watching(answers, until(lambda: len(answers.started) == 4))
    assert answers.started[1] <= watch.failing_since <= answers.started[2]
    answers = Answers("down", "up", None)
    watch, _ = watching(answers, until(lambda: len(answers.started) == 3))
    assert (watch.failing_since, watch.state) == (None, "down")


def test_only_the_first_of_several_downs_begins_a_failure():
    answers, begun = Answers("up", "down", "down", "up", "down", "down", None), []

    async def run():
        watch = Watch(Key(CHECK, TARGET, 0.02, None, 2, 2), answers, lambda one: begun.append(one.begins_to_fail))
        now = asyncio.get_running_loop().time()
        watch.start(now, now)
        await until(lambda: len(answers.started) == 7)(watch)
        watch.stop()

    asyncio.run(run())
    assert begun == [False, True, False, False, True, False]


def test_in_haste_it_checks_at_once():
    answers = Answers("up")

    async def scenario(watch):
        await until(lambda: watch.has_run)(watch)
        now = asyncio.get_running_loop().time()
        watch.hurry(now)
        assert answers.started[1] - now < 0.1
        watch.hurry(now)
        await asyncio.sleep(0.05)
        assert len(answers.started) == 2  # one that began since then ran already

    watching(answers, scenario, interval=600)


def test_in_haste_for_a_moment_to_come_it_checks_then():
    answers = Answers("up")

    async def scenario(watch):
        await until(lambda: watch.has_run)(watch)
        then = asyncio.get_running_loop().time() + 0.5
        for _ in range(3):
            watch.hurry(then)
            await asyncio.sleep(0.01)
        assert len(answers.started) == 1
        await asyncio.sleep(0.6)
        assert len(answers.started) == 2
        assert answers.started[1] >= then

    watching(answers, scenario, interval=600)


def test_in_haste_it_checks_once_more_after_one_that_began_before():
    answers = Answers(None, "up")

    async def scenario(watch):
        await until(lambda: answers.pending)(watch)
        await asyncio.sleep(0.01)
        watch.hurry(asyncio.get_running_loop().time())
        answers.pending[0].set_result(result("down"))
        await asyncio.sleep(0.05)
        assert len(answers.started) == 2

    watching(answers, scenario, interval=600)


def test_one_that_is_stopped_checks_no_more_and_hears_nothing():
    answers = Answers(None)

    async def scenario(watch):
        await until(lambda: answers.pending)(watch)
        watch.stop()
        answers.pending[0].set_exception(CannotRun("nobody is to hear of it"))
        await asyncio.sleep(0.05)

    _, heard = watching(answers, scenario)
    assert heard == []
    assert len(answers.started) == 1
