"""For how long HAProxy is without a VIP, whatever a look at it ends in."""

from __future__ import annotations

import asyncio
import time

import pytest
from unit.changed import loaded

from lbkit.agent import sight
from lbkit.agent.sight import Sight
from lbkit.errors import EngineError, NotAllowed, NotRunning
from lbkit.haproxy.engine import Haproxy
from lbkit.state.observed import VipState


def found(folder, monkeypatch, *looks: object, every: float = 0.0, lasts: float = -1.0) -> list[dict[str, str]]:
    """Which VIPs it says are missing, after each of these looks."""
    monkeypatch.setattr(sight, "EVERY", every)
    monkeypatch.setattr(sight, "_LASTS", dict.fromkeys(sight._LASTS, lasts))
    answers, said = iter(looks), []

    def look(self):
        answer = next(answers)
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Haproxy, "look", look)

    async def run() -> None:
        done = asyncio.Event()

        def looked() -> None:
            said.append(seen.missing)
            if len(said) == len(looks):
                seen.close()
                done.set()

        seen = Sight(looked)
        seen.take(loaded(folder))
        await done.wait()

    asyncio.run(run())
    return said


AWAY = {"WEB": "HAProxy does not answer: systemctl status haproxy."}
WITHOUT = {"WEB": "HAProxy runs, and does not have it. Apply the site: lbkit apply"}


def test_it_is_said_whether_haproxy_is_away_or_runs_without_the_vip(tmp_path, monkeypatch):
    looks = (NotRunning("nobody"), {}, {"WEB": VipState()})
    assert found(tmp_path, monkeypatch, *looks) == [AWAY, WITHOUT, {}]


@pytest.mark.parametrize("error", [NotAllowed("the socket"), EngineError("more than it may be")])
def test_a_haproxy_that_can_not_be_read_is_not_said_to_be_without_anything(tmp_path, monkeypatch, error):
    assert found(tmp_path, monkeypatch, NotRunning("nobody"), error) == [AWAY, {}]


def test_it_is_said_once_it_has_lasted(tmp_path, monkeypatch):
    away = NotRunning("nobody")
    first, *_, last = found(tmp_path, monkeypatch, away, away, {}, away, every=0.1, lasts=0.2)
    assert (first, last) == ({}, AWAY)


def hangs():
    time.sleep(0.2)
    raise NotRunning("silent")


def test_a_look_that_came_to_nothing_is_made_again_soon(tmp_path, monkeypatch):
    begun = time.monotonic()
    assert found(tmp_path, monkeypatch, hangs, {"WEB": VipState()}) == [AWAY, {}]
    assert time.monotonic() - begun < 2.0
