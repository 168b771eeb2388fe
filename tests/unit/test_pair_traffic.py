"""What the tests and benchmarks of the pair say of their clients is counted right."""

from __future__ import annotations

import pytest
from system.pair.traffic import Call, Probe


def probe(*whos: str) -> Probe:
    return Probe([Call(at, at + 0.5, who, "" if who else "TimeoutError", "here") for at, who in enumerate(whos)])


@pytest.mark.parametrize(
    ("whos", "outage"),
    [
        (("a", "a"), 0.0),
        (("a", "", "a"), 1.0),
        (("a", "", "", "b"), 2.0),
        (("a", "", "a", "", "a"), 3.0),
        (("a", ""), float("inf")),
        ((), 0.0),
    ],
)
def test_an_outage_lasts_from_the_first_failure_to_the_first_success_after_the_last(whos, outage):
    assert probe(*whos).outage == outage


def test_silence_is_the_longest_time_between_two_that_were_well():
    assert probe("a", "", "a", "", "", "b", "").silence == 3.0
    assert probe("", "a").silence == float("inf")


def test_each_connection_counts_where_it_belongs():
    seen = probe("a", "", "b", "a")
    assert (seen.failed, seen.misrouted("a"), seen.servers["a"]) == (1, 1, 2)
    assert seen.by_source == {"here": {"a", "b"}}
    assert seen.reasons == {"TimeoutError": 1}
