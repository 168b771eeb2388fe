"""How late the agent's loop is."""

from __future__ import annotations

import asyncio
import time

from lbkit.agent import lag
from lbkit.agent.lag import Lag


def test_a_loop_that_hangs_is_late_for_all_who_would_have_come_meanwhile(monkeypatch):
    monkeypatch.setattr(lag, "_EVERY", 0.001)

    async def run():
        measured = Lag()
        measured.start()
        await asyncio.sleep(0.3)  # hundreds of times in time
        time.sleep(0.2)
        await asyncio.sleep(0.01)
        measured.stop()
        return measured.high

    assert 0.1 < asyncio.run(run()) < 5
