"""When the agent looks at certificates, and what it says of those that it can't read."""

from __future__ import annotations

import asyncio

from unit.changed import loaded

from lbkit.agent import certificates
from lbkit.agent.certificates import Certificates
from lbkit.site.model import Certificate


def test_what_a_look_finds_is_given_once_and_what_it_can_not_read_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(certificates, "SOON", 0.01)
    site = loaded(tmp_path)
    here = site.model_copy(update={"certificates": {"ccw": Certificate(file=str(tmp_path / "none.pem"))}})
    sites = [here]

    async def run() -> None:
        made = Certificates(lambda: sites[0])
        task = asyncio.create_task(made.run())
        for trouble in ("may the agent's user read it? lbkit lint", ""):
            while (found := made.taken()) is None:
                await asyncio.sleep(0.005)
            assert found == []
            assert made.taken() is None
            assert made.trouble.endswith(trouble)
            assert bool(made.trouble) is bool(trouble)
            sites[0] = site
            made.hurry()
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert sum("When ccw ends" in one.getMessage() for one in caplog.records) == 1
