"""When a step of the operator's shift went as it should."""

from dataclasses import replace

import pytest

from lbkit_demo.client import Request
from lbkit_demo.operations import HELD, Operation

STEP = Operation("lbkit drain V one", [], {"V": "two", "W": "two"}, {"V": ["two"], "W": ["two"]}, 40, [])


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"held": HELD},
        {"held": 0, "ends_held": True},
        {"cut": 2},
        {"goes_to": {}, "seen": {}},
    ],
)
def test_it_is_told_when_clients_noticed_nothing(right):
    assert replace(STEP, **right).told


@pytest.mark.parametrize(
    "wrong",
    [
        {"failed": [Request("X", "127.0.0.1", 0.0, failure="ConnectionError: closed")]},
        {"seen": {"V": ["two"], "W": ["one", "two"]}},
        {"seen": {"V": ["two"], "W": []}},
        {"requests": 0},
        {"held": HELD - 1},
        {"held": 1, "ends_held": True},
    ],
)
def test_it_is_not_told_when_they_noticed_anything(wrong):
    assert not replace(STEP, **wrong).told
    assert not replace(STEP, **wrong).as_dict()["told"]
