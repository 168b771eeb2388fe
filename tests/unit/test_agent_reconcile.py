"""What a look at the engine finds to do is somebody else's doing only if nothing that is wanted has changed."""

from __future__ import annotations

import asyncio
import time

import pytest
from unit.changed import loaded

from lbkit.agent import reconcile
from lbkit.agent.engine import EngineThread
from lbkit.agent.reconcile import Reconciler, Wanted
from lbkit.state.intents import Intent, Intents

PLACE = ("DICOM", "s1")


class Table:
    """An engine that has what it was told last; `changed`: by somebody else."""

    def __init__(self) -> None:
        self.has: object = None
        self.changed = False

    def reconcile(self, intents, health, shares):
        wanted = (dict(intents), dict(shares))
        differs, self.has, self.changed = self.changed or wanted != self.has, wanted, False
        return ["set s1"] if differs else []

    def seen(self, intents, health, shares):
        return {}

    def flush(self):
        return []

    def close(self):
        pass


def mended(folder, monkeypatch, meanwhile) -> list[list[str]]:
    """What it holds for somebody else's doing. `meanwhile`: called once, when a look has begun; shares from then on."""
    monkeypatch.setattr(reconcile, "DRIFT", 0.1)
    monkeypatch.setattr(reconcile, "POLL", 0.02)
    found: list[list[str]] = []
    state, table, looks = folder / "state", Table(), 0
    shares: dict[tuple[str, str], float] = {}

    def wanted() -> Wanted:
        nonlocal looks
        looks += 1
        if looks == 3:
            shares.update(meanwhile(table, Intents(state)) or {})
        return Wanted({PLACE: "up"}, {PLACE: "up"}, dict(shares), None)

    async def run() -> None:
        made = Reconciler(
            EngineThread(lambda site: table), loaded(folder), wanted, state, False, lambda done: found.append([*done])
        )
        task = asyncio.create_task(made.run())
        deadline = time.monotonic() + 10
        while looks < 6:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    return found


def drains(table: Table, intents: Intents) -> None:
    intents.record(Intent(*PLACE, "drain"))


def grows(table: Table, intents: Intents) -> dict[tuple[str, str], float]:
    return {PLACE: 0.2}


def writes(table: Table, intents: Intents) -> None:
    table.changed = True


@pytest.mark.parametrize(("meanwhile", "others"), [(drains, []), (grows, []), (writes, [["set s1"]])])
def test_what_an_operator_and_a_slow_start_change_in_the_middle_of_a_look_is_no_drift(
    tmp_path, monkeypatch, meanwhile, others
):
    assert mended(tmp_path, monkeypatch, meanwhile) == others
