"""The overview as it is drawn, from views made by hand."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console
from unit.site_text import server, site, vip

import lbkit
from lbkit.operate.outcome import ServerView, VipView
from lbkit.state.intents import Intent
from lbkit_cli.overview_table import exit_code, is_well, overview, screen


@pytest.fixture
def vips(tmp_path):
    both = [server("CCW_App_Server_1", "192.32.40.207:44300"), server("CCW_App_Server_2", "192.32.40.208:44300")]
    path = tmp_path / "site.toml"
    path.write_text(
        site(vip("CCW_NOTIFICATION", "192.32.40.219:44300,44301", *both), vip("OTHER", "192.32.40.220:80", *both))
    )
    return lbkit.load_site(path).vips


def seen(real, **more):
    values = {
        "intent": None, "engine": "online", "health": "up", "why": "", "since": 300.0, "weight": 100,
        "connections": 0, "old_connections": 0, "total": 0,
    }  # fmt: skip
    return ServerView(real, **{**values, **more})


@pytest.fixture
def view(vips):
    """Of the first VIP, as its two servers are told to be."""

    def make(first=None, second=None, **more):
        servers = [seen(real, **(told or {})) for real, told in zip(vips[0].servers, (first, second), strict=True)]
        return VipView(vips[0], tuple(servers), **more)

    return make


def drawn(*views, width=140, brief=False, **how):
    """The text, and what a terminal of that width would get with `how`."""
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, **how)
    console.print(overview(views, console, brief=brief))
    return file.getvalue()


def row(text, label):
    return next(line for line in text.splitlines() if label in line)


def test_an_ipv6_address_is_told_from_its_port(tmp_path):
    path = tmp_path / "site.toml"
    real = {"label": "s1", "address": "2001:db8::11"}
    six = vip("SIX", "x:104", real, mode="l4-dr") | {"address": "2001:db8::10"}
    path.write_text(site(six))
    text = drawn(VipView(lbkit.load_site(path).vips[0], ()))
    assert "[2001:db8::10]:104" in row(text, "SIX")


def drain(**more):
    values = {"who": "anna@lb1", "when": time.time(), "why": "Windows updates", **more}
    return Intent("CCW_NOTIFICATION", "CCW_App_Server_1", "drain", **values)


def test_a_vip_has_its_address_all_its_ports_its_mode_and_its_connections(view):
    line = row(drawn(view(connections=17)), "CCW_NOTIFICATION")
    assert "192.32.40.219:44300,44301" in line
    assert line.split()[-2:] == ["17", "green"]
    assert "l7-snat tcp" in line


def test_connections_of_workers_of_before_a_reload_stand_apart(view):
    text = drawn(view({"connections": 15, "old_connections": 3}, {"connections": 15}))
    assert " 12 +3 old " in row(text, "CCW_App_Server_1")
    assert "old" not in row(text, "CCW_App_Server_2")


def test_the_server_that_it_is_stuck_to_is_marked_and_no_other(view):
    text = drawn(view(stuck_to="CCW_App_Server_2"))
    assert "▸ CCW_App_Server_2" in text
    assert text.count("▸") == 1


def test_a_terminal_that_knows_no_such_mark_gets_another(view):
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    console = Console(file=file, width=140)
    console.print(overview([view(stuck_to="CCW_App_Server_2")], console))
    file.seek(0)
    assert "* CCW_App_Server_2" in file.read()


def test_what_was_asked_and_what_was_found_stand_in_columns_of_their_own(view):
    line = row(drawn(view({"intent": drain(), "engine": "drain"})), "CCW_App_Server_1")
    assert line.split()[-3:] == ["drain", "up", "5m"]
    line = row(drawn(view({"health": "down", "since": 7200})), "CCW_App_Server_1")
    assert line.split()[-3:] == ["online", "DOWN", "2h"]


def test_who_asked_and_why_and_until_when_is_told(view):
    until = time.time() + 48 * 3600
    text = drawn(view({"intent": drain(until=until), "engine": "drain"}))
    assert f"drain until {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}" in text
    assert "drain    CCW_NOTIFICATION / CCW_App_Server_1  by anna@lb1, " in text
    assert ": Windows updates" in text


def test_what_is_down_says_why_below_the_table(view):
    text = drawn(view({"health": "down", "why": "connection refused"}))
    assert "DOWN     CCW_NOTIFICATION / CCW_App_Server_1  connection refused" in text


def test_an_engine_that_has_it_otherwise_is_told(view):
    text = drawn(view({"intent": drain(), "drift": "HAProxy has it online, and drain is wanted"}))
    assert "drain (is online)" in row(text, "CCW_App_Server_1")
    assert "drift    CCW_NOTIFICATION / CCW_App_Server_1  HAProxy has it online, and drain is wanted" in text


def test_a_weight_that_is_not_the_sites_is_told_with_the_sites(view):
    text = drawn(view({"weight": 5}))
    assert " 5, site 100 " in row(text, "CCW_App_Server_1")
    assert "site" not in row(text, "CCW_App_Server_2")


def test_warnings_and_what_is_not_known_are_told(view):
    text = drawn(view(warnings=("CCW_NOTIFICATION is stuck to 2",)), replace(view(), servers=(), unseen="not applied"))
    assert "warning  CCW_NOTIFICATION is stuck to 2" in text
    assert "unknown  CCW_NOTIFICATION  not applied" in text


DOWN, OUT, UNKNOWN = {"health": "down"}, {"engine": "drain", "intent": drain()}, {"health": "unknown"}


@pytest.mark.parametrize(
    ("first", "second", "word", "code"),
    [
        (None, None, "green", 0),
        (UNKNOWN, None, "green", 1),
        (DOWN, None, "yellow 1 of 2 serve", 1),
        (OUT, None, "yellow 1 of 2 serve", 1),
        ({"weight": 0}, None, "yellow 1 of 2 serve", 1),
        (DOWN, DOWN, "RED 0 of 2 serve", 2),
        (OUT, DOWN, "RED 0 of 2 serve", 2),
        (OUT, OUT, "RED 0 of 2 serve", 2),
    ],
)
def test_the_colour_is_a_word_too_and_gives_the_exit_code(view, first, second, word, code):
    shown = view(first, second)
    assert row(drawn(shown), "CCW_NOTIFICATION").rstrip().endswith(word)
    assert exit_code([shown]) == code
    assert exit_code([view(), shown]) == code


def test_what_is_not_known_is_neither_green_nor_red(view):
    shown = replace(view(), servers=(), unseen="not applied")
    assert exit_code([shown]) == 1
    assert row(drawn(shown), "CCW_NOTIFICATION").rstrip().endswith("unknown")


def test_clients_at_the_fallback_server_are_told(view):
    assert "to the fallback" in row(drawn(view(DOWN, DOWN, fallback=True)), "CCW_NOTIFICATION")


def test_no_color_takes_the_colours_and_leaves_the_words(view, monkeypatch):
    shown = view(DOWN, OUT)
    coloured = drawn(shown, force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = drawn(shown, force_terminal=True, color_system="standard")
    assert "\x1b[1;31m" in coloured  # red, of what is down
    assert "\x1b[34m" in coloured  # blue, of what is out
    assert "\x1b[3" not in plain
    assert "RED 0 of 2 serve" in plain


@pytest.mark.parametrize(
    ("width", "has"), [(140, (True, True)), (100, (True, False)), (80, (False, False)), (60, (False, False))]
)
def test_a_narrow_terminal_gets_fewer_columns_each_row_in_one_line(view, width, has):
    shown = view({**DOWN, "connections": 7}, OUT, stuck_to="CCW_App_Server_1")
    text = drawn(shown, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert ("192.32.40.219" in text, "l7-snat" in text) == has
    assert row(text, "▸ CCW_App_Server_1").split()[-4:] == ["7", "online", "DOWN", "5m"]
    assert row(text, "  CCW_App_Server_2").split()[-4:] == ["0", "drain", "up", "5m"]
    assert len(text.split("DOWN     ")[0].splitlines()) == 7


def test_a_terminal_narrower_than_a_row_is_not_exceeded(view):
    assert all(len(line) <= 30 for line in drawn(view(DOWN, OUT), width=30).splitlines())


def test_brief_leaves_out_the_servers_of_vips_where_all_is_well_and_of_no_other(view, vips):
    well = VipView(vips[1], tuple(seen(real) for real in vips[1].servers))
    text = drawn(well, view(DOWN), brief=True)
    assert text.count("CCW_App_Server_2") == 1
    assert "OTHER" in text


@pytest.mark.parametrize(
    "odd", [{"first": DOWN}, {"first": OUT}, {"first": UNKNOWN}, {"first": {"drift": "x"}}, {"warnings": ("x",)}]
)
def test_what_wants_a_look_is_not_well(view, odd):
    assert is_well(view())
    assert not is_well(view(**odd))


def test_what_a_remote_or_an_operator_wrote_is_harmless_on_a_terminal(view):
    evil = "\x1b[2J[bold]x[/nothing]"
    shown = view({**DOWN, "why": evil}, {"intent": drain(why=evil), "engine": "drain"}, warnings=(evil,))
    text = drawn(shown)
    assert "\x1b" not in text
    assert text.count("[bold]x[/nothing]") == 3


@pytest.mark.parametrize(("height", "servers"), [(20, 4), (11, 2)])
def test_a_screen_that_is_too_low_for_all_shows_what_wants_a_look(view, vips, height, servers):
    well = VipView(vips[1], tuple(seen(real) for real in vips[1].servers))
    console = Console(file=io.StringIO(), width=140, height=height)
    console.print(screen([well, view(DOWN)], "", console))
    shown = console.file.getvalue().split("DOWN     ")[0]
    assert shown.count("CCW_App_Server_") == servers
    assert "CCW_NOTIFICATION" in shown
    assert "OTHER" in shown


def test_a_screen_says_which_node_of_a_pair_has_the_vips(view):
    console = Console(file=io.StringIO(), width=140, height=20)
    console.print(screen([view(DOWN)], "", console, "lb2 has the VIPs"))
    assert console.file.getvalue().partition("\n")[0].rstrip().endswith("Ctrl-C ends  lb2 has the VIPs")


def test_a_screen_says_what_the_trouble_is():
    console = Console(file=io.StringIO(), width=140, height=20)
    console.print(screen([], "HAProxy does not answer\x1b[2J", console))
    assert "HAProxy does not answer" in console.file.getvalue()
    assert "\x1b" not in console.file.getvalue()
