"""Every combination of what the two nodes are told, and which of them is to hold the VIPs."""

from __future__ import annotations

from itertools import product

from lbkit.pair import render, track

# What counts, the most important first; True: a node that has it is the worse one.
_COUNTS = (
    ("haproxy_silent", True),
    ("haproxy_down", True),
    ("servers_down", True),
    ("maintenance", True),
    ("prefer", False),
    ("holder", False),
)
NAMES = [name for name, _ in _COUNTS]
NODES = [dict(zip(NAMES, values, strict=True)) for values in product((False, True), repeat=len(NAMES))]


def priority(number, node):
    """As keepalived adds it up, with its own script."""
    tracked = {name: value for name, value in node.items() if name in track.TRACKED}
    return track.priority(track.BASES[number], tracked) + (track.HAPROXY_SILENT if node["haproxy_silent"] else 0)


def wanted(first, second):
    """Which of the two is to win, 0 or 1: whoever is better in the first thing in which they differ, else the first."""
    for name, is_bad in _COUNTS:
        if first[name] != second[name]:
            return int(first[name] if is_bad else second[name])
    return 0


def test_of_every_combination_the_intended_node_wins_and_none_is_a_tie():
    assert set(NAMES) == {*track.TRACKED, "haproxy_silent"} - {"fault"}
    assert len(NODES) ** 2 == 4096
    for first, second in product(NODES, repeat=2):
        one, two = priority(0, first), priority(1, second)
        assert one != two
        assert int(two > one) == wanted(first, second), (first, second)


def test_every_sum_lies_where_keepalived_cuts_nothing_off_also_without_the_tracked_interfaces():
    sums = {priority(number, node) for number in (0, 1) for node in NODES}
    assert max(sums) <= 253
    for count in range(1, 17):
        lost = count * render.weight_of_an_interface(tuple(f"eth{number}" for number in range(count)))
        assert min(sums) + lost >= 1


def test_the_loss_of_any_one_of_the_tracked_interfaces_outweighs_holding_the_vips():
    for count in range(1, 17):
        lost = -render.weight_of_an_interface(tuple(f"eth{number}" for number in range(count)))
        assert lost > track.WEIGHTS["holder"] + track.BASES[0] - track.BASES[1]


def test_fault_is_no_weight_for_keepalived_gives_up_at_once():
    assert track.WEIGHTS["fault"] == 0
