"""What the checks have to say to the engine while servers, or the balancer's own network, are away."""

import asyncio
from types import SimpleNamespace

import pytest
from unit.site_text import server, site, vip

import lbkit
from lbkit.agent import guard
from lbkit.agent.roster import asked_of
from lbkit.agent.watching import Watching
from lbkit.checks.registry import Registry
from lbkit.checks.result import Result

A, B = ("V", "a"), ("V", "b")
RARELY = {"kind": "connect", "interval": "10m", "rise": 1, "fall": 1}  # whatever is checked twice is checked in haste


class Servers:
    """In the place of a Checker. `up`: by address; None: it hangs."""

    def __init__(self):
        self.up = {"192.0.2.1": True, "192.0.2.2": True}
        self.asked = dict.fromkeys(self.up, 0)

    def start(self, check, target):
        future = asyncio.get_running_loop().create_future()
        self.asked[target.host] += 1
        if self.up[target.host] is not None:
            status = "up" if self.up[target.host] else "down"
            future.set_result(Result("connect", str(target), status, "connect", "refused", "", 0.0))
        return future


class Scene:
    """Both servers are up, and the anchor has answered just now."""

    def __init__(self, watching, servers):
        self.watching, self.servers = watching, servers
        self.anchor = SimpleNamespace(address="192.0.2.254", answered=self.now, pings=0, stop=lambda: None)
        self.anchor.ping = self._ping
        watching.anchor = self.anchor

    def _ping(self):
        self.anchor.pings += 1

    @property
    def now(self):
        return asyncio.get_running_loop().time()

    async def check(self, place, up):
        (watch,) = self.watching.roster.places[place].watches
        self.servers.up[watch.key.target.host] = up
        watch.hurry(self.now)
        await asyncio.sleep(0.01)

    def answers(self):
        self.anchor.answered = self.now
        self.watching._anchor_heard()

    def told(self, place):
        """The health that is found, and the one that the engine gets."""
        wanted = self.watching.wanted()
        return wanted.health[place], wanted.carried[place]


@pytest.fixture
def play(tmp_path):
    both = server("a", "192.0.2.1"), server("b", "192.0.2.2")
    (tmp_path / "site.toml").write_text(
        site(vip("V", "192.0.2.9:104", *both, mode="l4-dr", check=RARELY, slow_start="1h"))
    )
    loaded = lbkit.load_site(tmp_path / "site.toml")

    def run(act):
        async def scene():
            servers = Servers()
            watching = Watching(servers, lambda: None)
            watching.take(asked_of(loaded, Registry().kind, loaded.vips), None)
            await asyncio.sleep(0.02)
            made = Scene(watching, servers)
            assert made.told(A) == made.told(B) == ("up", "up")
            await act(made)
            watching.stop()

        asyncio.run(scene())

    return run


def test_while_the_anchor_is_silent_a_server_is_taken_out_once_another_has_been_asked_and_is_up(play):
    async def act(scene):
        await scene.check(A, up=False)
        assert scene.servers.asked["192.0.2.2"] == 2
        assert scene.told(A) == ("down", "down")
        assert scene.anchor.pings

    play(act)


def test_while_the_anchor_is_silent_a_server_is_held_until_another_has_been_asked(play):
    async def act(scene):
        scene.servers.up["192.0.2.2"] = None
        await scene.check(A, up=False)
        assert scene.told(A) == ("down", "unknown")
        assert "has not answered since" in scene.watching.held("V")
        assert scene.watching.answer(*A) == ("unknown", "")

    play(act)


def test_an_anchor_that_answers_at_once_lets_a_server_be_taken_out_at_once(play):
    async def act(scene):
        scene.servers.up["192.0.2.2"] = None
        await scene.check(A, up=False)
        scene.answers()
        assert scene.told(A) == ("down", "down")
        assert scene.watching.held("V") == ""

    play(act)


@pytest.mark.parametrize("up_again", [True, False])
def test_when_the_network_is_back_each_held_server_is_asked_soon_and_that_decides(play, up_again, monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.01)
    monkeypatch.setattr(guard, "SETTLES", 0.5)

    async def act(scene):
        scene.servers.up["192.0.2.2"] = False
        await scene.check(A, up=False)
        assert scene.told(A) == scene.told(B) == ("down", "unknown")
        await asyncio.sleep(0.02)
        scene.servers.up = dict.fromkeys(scene.servers.up, up_again)
        scene.answers()
        await asyncio.sleep(0.01)
        assert scene.told(A) == scene.told(B) == ("down", "unknown")
        await asyncio.sleep(1.0)
        expected = "up" if up_again else "down"
        assert scene.told(A) == scene.told(B) == (expected, expected)
        assert scene.watching.held("V") == ""
        assert scene.watching.wanted().shares == {}  # who was never out does not start

    play(act)


def test_one_that_was_out_starts_slowly(play):
    async def act(scene):
        await scene.check(A, up=False)
        await scene.check(A, up=True)
        assert scene.told(A) == ("up", "up")
        assert scene.watching.wanted().shares == {A: 0.1}

    play(act)


def test_without_an_anchor_nobody_is_held(play):
    async def act(scene):
        scene.watching.anchor = None
        scene.servers.up["192.0.2.2"] = None
        await scene.check(A, up=False)
        assert scene.told(A) == ("down", "down")

    play(act)
