"""An agent with an engine that only writes down what it is asked: python agent_process.py SITE STATE RECORD [--observe …].

Each line of RECORD is a call: when (CLOCK_MONOTONIC, which all processes share), what, health as it was carried. A file
RECORD.broken makes the engine refuse with what stands in it, RECORD.stuck makes it hang, RECORD.drift is work that it finds,
once. --looks-often: it is looked for each second, and other things as often.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path

from lbkit.agent import answers, certificates, reconcile, reporting
from lbkit.agent.agent import Agent, Options
from lbkit.checks.kind import CheckKind, Params
from lbkit.checks.registry import Registry
from lbkit.errors import NotRunning
from lbkit.ipvs.wanted import layer_4
from lbkit.site.load import load_site
from lbkit.state.observed import ServerState, VipState


class Recorder:
    """Has what it was told last."""

    def __init__(self, site, record):
        self.site = site
        self.record = record
        self.health = {}

    def _write(self, what, **more):
        with self.record.open("a") as file:
            file.write(json.dumps({"at": time.monotonic(), "what": what, "vips": len(self.site.vips), **more}) + "\n")

    def reconcile(self, intents, health, shares):
        self._write(
            "reconcile",
            health={"/".join(key): value for key, value in health.items()},
            intents={"/".join(key): one.wanted for key, one in intents.items()},
            shares={"/".join(key): share for key, share in shares.items()},
        )
        if self.record.with_suffix(".stuck").exists():
            time.sleep(60)
        broken, drift = self.record.with_suffix(".broken"), self.record.with_suffix(".drift")
        if broken.exists():
            raise NotRunning(broken.read_text())
        if drift.exists():
            done = [drift.read_text()]
            drift.unlink()
            return done
        return []

    def seen(self, intents, health, shares):
        return {
            vip.label: VipState(
                {
                    one.label: ServerState(
                        intents[vip.label, one.label].wanted if (vip.label, one.label) in intents else "online",
                        health[vip.label, one.label],
                        weight=one.weight,
                    )
                    for one in vip.servers
                }
            )
            for vip in layer_4(self.site)
        }

    def flush(self):
        self._write("flush")
        return ["flushed"]

    def close(self):
        self._write("close")


class Stuck(Params):
    """Nothing of its own."""


def _hang(target):
    time.sleep(60)  # in the loop: what no check may do
    yield "", b""


def kind_of(registry):
    hanging = CheckKind("hang-the-loop", "hangs", Stuck, lambda params: _hang)
    return lambda name: hanging if name == hanging.name else registry.kind(name)


def main():
    site, state, record, *flags = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    answers.PATIENCE = 1.0  # else a test would wait
    if "--looks-often" in flags:
        reconcile.DRIFT = 1.0
        reporting._WITHOUT = 0.5
        certificates.SOON = 0.1
    registry = Registry()
    options = Options(site, Path(state), "--observe" in flags, "--flush-on-exit" in flags)
    agent = Agent(
        lambda: load_site(site, registry.models()),
        kind_of(registry),
        lambda site: Recorder(site, Path(record)),
        options,
    )
    asyncio.run(agent.run())


if __name__ == "__main__":
    main()
