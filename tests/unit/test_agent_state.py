"""What the agent says of itself, as it is sent and read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lbkit.state.agent import AgentState
from lbkit.state.observed import ServerState, VipState
from lbkit.state.pair import PairSeen, PeerSeen

PAIR = PairSeen("lb1", "master", 9.0, "running", "up", ("192.0.2.50",), True, peer=PeerSeen(answer_age=0.5))
VIP = VipState({"s1": ServerState("online", "up", "it answers", 5.0, 100, 3)}, 3, True)
SAID = AgentState(
    7, False, "ccw", "/etc/lbkit/site.toml", 3, {"DICOM": VIP}, "", 2, 0.001, PAIR, {"WEB": VIP}, {"test": 1}, {"mail": "no"}
)  # fmt: skip


def sent(state: AgentState) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(state.as_dict()))
    return found


def test_what_is_sent_is_what_is_read():
    assert AgentState.of(sent(SAID)) == SAID


def test_what_an_older_agent_sends_is_read_too():
    values = sent(SAID)
    for name in ("layer_7", "counters", "receivers"):
        del values[name]
    found = AgentState.of(values)
    assert (found.vips, found.layer_7, found.counters, found.receivers) == (SAID.vips, {}, {}, {})


def test_what_a_newer_agent_says_besides_is_left_out():
    values = sent(SAID)
    server = values["vips"]["DICOM"]["servers"]["s1"]
    for more in (values, values["pair"], values["pair"]["peer"], values["vips"]["DICOM"], server):
        more["mood"] = "fine"
    assert AgentState.of(values) == SAID


@pytest.mark.parametrize(
    ("name", "value"), [("layer_7", {"WEB": {}}), ("layer_7", 7), ("vips", None), ("pair", {"a": 1})]
)
def test_what_no_agent_sends_is_refused(name, value):
    with pytest.raises((KeyError, TypeError, AttributeError)):
        AgentState.of({**sent(SAID), name: value})
