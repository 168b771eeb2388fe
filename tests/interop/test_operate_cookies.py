"""Draining a server of a VIP that keeps browsers by cookie, with real requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.operated import CHECK, HOST, Operated, operated, own_port
from interop.test_haproxy_cookies import Browser, web_server
from unit.site_text import server, vip

from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.reload import reload
from lbkit.operate.why import why
from lbkit.state.intents import Intents

NAMES = ("one", "two", "three")


@pytest.fixture
def web() -> Iterator[dict[str, Any]]:
    """A VIP by cookie, in front of three servers."""
    with ExitStack() as stack:
        servers = [server(name, stack.enter_context(web_server(name)).target) for name in NAMES]
        yield vip(
            "WEB", f"{HOST}:{own_port()}", *servers, check=CHECK, protocol="http", persistence={"mode": "http-cookie"}
        )


@pytest.fixture
def site(short: Path, web: dict[str, Any], haproxy: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    with operated(short, web, servers={}) as made:
        yield made


class Browsers:
    """One that is kept by each server, and a name for it: that server's."""

    def __init__(self, site: Operated) -> None:
        self.port = site.site.vips[0].ports[0]
        self.kept: dict[str, dict[str, str]] = {}
        while len(self.kept) < len(NAMES):
            with closing(Browser(self.port)) as browser:
                self.kept.setdefault(browser.get()[0], browser.cookies)

    def get(self, name: str) -> str:
        """Who serves it now, on a new connection."""
        with closing(Browser(self.port)) as browser:
            browser.cookies = self.kept[name]
            return browser.get()[0]

    def served(self) -> dict[str, str]:
        return {name: self.get(name) for name in NAMES}

    def new(self, times: int = 12) -> set[str]:
        found = set()
        for _ in range(times):
            with closing(Browser(self.port)) as browser:
                found.add(browser.get()[0])
        return found


STAY = {name: name for name in NAMES}


def test_browsers_stay_on_a_drained_server_and_new_ones_go_elsewhere(site: Operated) -> None:
    browsers = Browsers(site)
    done = drain(site.site, site.asked("WEB", "one"))[0]
    assert "Give --sticky move to move them now" in done.warnings[0]
    assert browsers.served() == STAY
    assert browsers.new() == {"two", "three"}


def test_browsers_that_are_moved_move_once_and_others_are_left_alone(site: Operated) -> None:
    browsers = Browsers(site)
    drain(site.site, site.asked("WEB", "one"), move_sticky=True)
    moved = browsers.get("one")
    assert moved != "one"
    assert [browsers.get("one") for _ in range(5)] == [moved] * 5
    assert browsers.served() == STAY | {"one": moved}
    online(site.site, site.asked("WEB", "one"))
    assert browsers.served() == STAY | {"one": moved}
    assert browsers.new() == set(NAMES)


def test_moving_is_asked_again_after_a_reload_and_an_apply_until_it_is_taken_back(
    site: Operated, web: dict[str, Any]
) -> None:
    browsers = Browsers(site)
    old = dict(browsers.kept["one"])

    def comes_back() -> str:
        """Who serves a browser of before, that was away meanwhile."""
        browsers.kept["one"] = dict(old)
        return browsers.get("one")

    drain(site.site, site.asked("WEB", "one"), move_sticky=True)
    assert Intents(site.state).all()[0].sticky
    assert comes_back() != "one"
    reload(site.site, state=site.state)
    assert comes_back() != "one"
    site.write({**web, "scheduler": "round-robin"})
    assert site.apply().reloaded
    assert comes_back() != "one"
    drain(site.site, site.asked("WEB", "one"))
    assert comes_back() == "one"
    online(site.site, site.asked("WEB", "one"))
    assert browsers.served() == STAY


def test_browsers_of_a_halted_server_are_served_by_another(site: Operated) -> None:
    browsers = Browsers(site)
    halt(site.site, site.asked("WEB", "one"))
    moved = browsers.get("one")
    assert moved != "one"
    assert browsers.served() == STAY | {"one": moved}
    assert any("where its cookie says" in one for _, told in why(site.site, "WEB").paragraphs for one in told)
