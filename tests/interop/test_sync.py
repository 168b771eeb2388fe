"""A site that comes from the other node, into a folder that stands for one, with a real HAProxy."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interop.applied import plain, tree, worker
from interop.applied import servers as servers
from interop.engines import haproxy_of
from interop.engines import short as short
from interop.operated import Named, Operated
from interop.secured import Authority
from unit.site_text import site as site_text

import lbkit
from lbkit.errors import LbkitError, Misuse, NotRunning, Refused, RolledBack
from lbkit.haproxy import process
from lbkit.haproxy.program import Program
from lbkit.operate import bundle, generation
from lbkit.pair.link import Link
from lbkit.site.model import Node
from lbkit.state.applied import Applied
from lbkit.state.events import Event
from lbkit.state.intents import Intent, Intents
from lbkit.state.log import EventLog

LBKIT = Path(sys.executable).with_name("lbkit")
PEER = Node(name="lb2", address="127.0.0.1", interface="lo")


class Two:
    """Sender: folder `lb1`, where nothing runs. Receiver: folder `lb2`, asked as over ssh; `here`: it, as operated."""

    def __init__(self, folder: Path, *vips: dict[str, Any], servers: dict[str, Named]) -> None:
        (folder / "lb1").mkdir()
        (folder / "lb2").mkdir()
        self.here = Operated(folder / "lb2", *vips, servers=servers)
        self.there = folder / "lb1" / "site.toml"
        self.applied = Applied()
        self.environment = {"LBKIT_STATE": str(self.here.state), "PYTHONWARNINGS": "error"}
        self.link = self._link()

    def _link(self) -> Link:
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        command = ["env", *environment, str(LBKIT), "pair-receive", "--site", str(self.here.file)]
        return Link(self.here.site, PEER, 60, command)

    def write(self, *vips: dict[str, Any], **more: Any) -> None:
        """The sender's site, applied there."""
        settings = {**self.here._settings, **more.pop("haproxy", {})}
        self.there.write_text(site_text(*vips, haproxy=settings, **more))
        self.applied = self.applied.next(bundle.digest(self.there), "lb1")

    def send(self, **more: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "from": "lb1",
            "lbkit": lbkit_version(),
            "applied": self.applied.as_dict(),
            "site": bundle.gather(self.there).as_dict(),
            "intents": [],
            **more,
        }
        return self.link.ask("sync.take", **values)

    def apply(self) -> None:
        """On the receiver, by hand."""
        generation.apply(self.here.file, lbkit.load_site(self.here.file), self.here.kind_of, state=self.here.state)

    def now(self) -> dict[str, tuple[int, bytes]]:
        """All that lies there, but for locks and the log of events."""
        found = tree(self.here.folder)
        return {name: one for name, one in found.items() if not name.endswith((".lock", ".jsonl"))}

    def events(self) -> list[Event]:
        """What the receiver has recorded of what came."""
        return [one for one in EventLog(self.here.state).all() if one.origin == "node lb1"]


def lbkit_version() -> str:
    from importlib.metadata import version

    return version("lbkit-core")


@pytest.fixture
def haproxy() -> Program:
    """Either does: how it is reloaded is tried with both elsewhere."""
    return haproxy_of("2.6")


@pytest.fixture
def two(short: Path, servers: dict[str, Named]) -> Iterator[Two]:
    made = Two(short, plain("VIP", servers["one"]), servers=servers)
    made.apply()
    made.applied = Applied.read(made.here.state)
    try:
        yield made
    finally:
        made.link.close()
        process.stop(made.here.haproxy)


@pytest.fixture
def vip(two: Two) -> dict[str, Any]:
    """The receiver's, before a second real server comes in."""
    return plain("VIP", two.here.servers["one"], port=two.here.site.vips[0].ports[0])


def with_two(two: Two) -> dict[str, Any]:
    return plain("VIP", *two.here.servers.values(), port=two.here.site.vips[0].ports[0])


def test_what_comes_is_in_force_and_is_the_generation_of_both(two: Two) -> None:
    two.write(with_two(two))
    said = two.send(who="anna@lb1")
    (event,) = two.events()
    assert (event.kind, event.who) == ("configuration-applied", "anna@lb1")
    assert event.text == f"generation {two.applied.generation} of the site of lb1 is in force"
    assert two.here.file.read_bytes() == two.there.read_bytes()
    assert two.here.tally("VIP", 20).keys() == {"one", "two"}
    assert Applied.read(two.here.state) == two.applied
    assert any("reloaded" in step for step in said["steps"])
    assert '+label = "two"' in said["changes"][0]["lines"]


def test_nothing_is_reloaded_where_nothing_differs(two: Two) -> None:
    two.write(with_two(two))
    two.send()
    before = worker(two.here)
    said = two.send()
    assert said["changes"] == []
    assert worker(two.here) == before


def test_a_dry_run_shows_what_differs_and_touches_nothing(two: Two) -> None:
    two.write(with_two(two))
    before = two.now(), worker(two.here)
    said = two.send(dry_run=True)
    assert '+label = "two"' in said["changes"][0]["lines"]
    assert any("would be reloaded" in step for step in said["steps"])
    assert (two.now(), worker(two.here)) == before
    assert two.events() == []


def test_a_node_without_a_site_takes_it(two: Two) -> None:
    process.stop(two.here.haproxy)
    for name in ("site.toml", "state/applied.json"):
        (two.here.folder / name).unlink()
    two.write(with_two(two))
    two.send()
    assert two.here.tally("VIP", 20).keys() == {"one", "two"}
    assert Applied.read(two.here.state) == two.applied


def test_keys_and_passwords_arrive_as_they_were_and_are_never_shown(two: Two) -> None:
    folder = two.there.parent / "tls"
    folder.mkdir()
    own = Authority(folder).issue("web.test")
    secret = Path(own.key_file).read_bytes()
    Path(own.key_file).chmod(0o640)
    shutil.chown(own.key_file, group="daemon")
    where = two.here.folder / "elsewhere.key"  # an absolute path, which is another file on another node
    where.write_bytes(secret)
    web = {"file": "tls/web.test.pem", "key_file": "tls/web.test.key"}
    two.write(
        {**with_two(two), "termination": {"certificate": "web"}},
        certificates={"web": web, "other": {"file": "tls/web.test.pem", "key_file": str(where)}},
    )
    said = two.send()
    arrived = two.here.folder / "tls/web.test.key"
    assert arrived.read_bytes() == secret
    assert (arrived.stat().st_mode & 0o777, arrived.group()) == (0o640, "daemon")
    assert (arrived.parent.stat().st_mode & 0o777, arrived.parent.group()) == (0o750, "daemon")
    assert secret.splitlines()[1].decode() not in repr(said)
    assert any("its content is secret" in note for one in said["changes"] for note in one["notes"])
    assert not (two.here.state / "rehearsal").exists()


def test_a_file_that_the_site_no_longer_names_goes(two: Two) -> None:
    (two.there.parent / "page.html").write_text("<p>later</p>")
    two.write(with_two(two), fallback_page={"file": "page.html", "port": two.here.site.vips[0].ports[0] + 1})
    two.send()
    assert (two.here.folder / "page.html").read_text() == "<p>later</p>"
    two.write(with_two(two))
    two.send()
    assert not (two.here.folder / "page.html").exists()


def test_what_haproxy_refuses_changes_nothing(two: Two) -> None:
    two.write(with_two(two), haproxy={"user": "nobody-of-this-name"})
    before = two.now(), worker(two.here)
    with pytest.raises(LbkitError, match=r"(?s)^node lb2: .*nobody-of-this-name"):
        two.send()
    assert (two.now(), worker(two.here)) == before
    assert two.here.tally("VIP", 5).keys() == {"one"}


def test_what_lint_refuses_changes_nothing_and_names_the_place_there(two: Two) -> None:
    (two.there.parent / "web.pem").write_text("no certificate")
    two.write(with_two(two), certificates={"web": {"file": "web.pem"}})
    before = two.now()
    with pytest.raises(Misuse) as refused:
        two.send()
    assert f"{two.here.folder}/web.pem" in str(refused.value)
    assert "rehearsal" not in str(refused.value)
    assert two.now() == before


def test_what_does_not_hold_is_rolled_back_and_said_so(two: Two) -> None:
    with socket.socket() as taken:  # the checkers know nothing of it
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        two.write(with_two(two), plain("NEW", two.here.servers["two"], port=taken.getsockname()[1]))
        before = two.now(), worker(two.here)
        with pytest.raises(RolledBack, match=r"node lb2: .*can't listen at .*Rolled back"):
            two.send()
    assert (two.now(), worker(two.here)) == before
    assert [one.kind for one in two.events()] == ["configuration-rolled-back"]
    two.send()
    assert two.here.tally("VIP", 20).keys() == {"one", "two"}


def test_a_newer_site_is_not_overwritten(two: Two) -> None:
    two.write(with_two(two))
    two.send()
    old = two.there.read_text(), two.applied
    two.write(plain("VIP", two.here.servers["two"], port=two.here.site.vips[0].ports[0]))
    two.send()
    two.there.write_text(old[0])
    two.applied = old[1]
    with pytest.raises(Refused, match="node lb2: this node's site is newer"):
        two.send()
    assert two.here.tally("VIP", 5).keys() == {"two"}


def test_sites_that_were_changed_apart_are_refused_until_one_is_forced(two: Two) -> None:
    two.here.write(plain("VIP", two.here.servers["two"], port=two.here.site.vips[0].ports[0]))
    two.apply()
    two.write(with_two(two))
    with pytest.raises(Refused, match=r"both nodes' sites were changed .*here is generation 2 .*lb1 is generation 2"):
        two.send()
    two.applied = two.applied.over(Applied.read(two.here.state), "lb1")
    two.send()
    assert two.here.tally("VIP", 20).keys() == {"one", "two"}
    assert Applied.read(two.here.state).generation == 3


def test_what_was_changed_by_hand_is_not_overwritten(two: Two) -> None:
    two.here.file.write_text(two.here.file.read_text() + "# to be applied tonight\n")
    two.write(with_two(two))
    with pytest.raises(Refused, match="was changed and never applied"):
        two.send()
    assert two.here.file.read_text().endswith("# to be applied tonight\n")
    two.send(force=True)
    assert two.here.tally("VIP", 20).keys() == {"one", "two"}


def test_a_site_of_another_lbkit_is_refused(two: Two, short: Path) -> None:
    """The receiver's metadata says so, as that of an lbkit that was upgraded first."""
    found = short / "upgraded" / "lbkit_core-99.1.dist-info"
    found.mkdir(parents=True)
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: lbkit-core\nVersion: 99.1\n")
    two.environment["PYTHONPATH"] = str(found.parent)
    two.link = two._link()
    two.write(with_two(two))
    before = two.now()
    with pytest.raises(Misuse, match=rf"here is lbkit 99\.1, and the site comes from lbkit {lbkit_version()}"):
        two.send()
    assert two.now() == before


def test_intents_come_along_and_the_newer_win(two: Two) -> None:
    store, now = Intents(two.here.state), time.time()
    store.record(Intent("VIP", "one", "online", when=now + 10, who="anna"))
    two.write(with_two(two))
    given = [Intent("VIP", "two", "drain", when=now), Intent("VIP", "one", "halt", when=now)]
    two.send(intents=[one.as_dict() for one in given])
    assert {one.server: one.wanted for one in store.all()} == {"one": "online", "two": "drain"}
    assert two.here.tally("VIP", 20).keys() == {"one"}


def test_a_verb_that_is_at_work_there_is_not_disturbed(two: Two) -> None:
    two.write(with_two(two))
    before = two.now()
    with Intents(two.here.state).alone(), pytest.raises(Misuse, match="another lbkit has held"):
        two.send()
    assert two.now() == before
    two.send()
    assert two.here.tally("VIP", 20).keys() == {"one", "two"}


def test_a_question_that_is_cut_off_does_nothing(two: Two) -> None:
    two.write(with_two(two))
    before = two.now()
    question = b'{"version": 1, "ask": "sync.take", "site": {"site": "' + b"A" * 100_000
    command = [str(LBKIT), "pair-receive", "--site", str(two.here.file)]
    ran = subprocess.run(command, input=question, env=os.environ | two.environment, capture_output=True, timeout=30)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert two.now() == before


def test_a_receiver_that_is_killed_midway_leaves_what_the_next_one_mends(two: Two, monkeypatch: Any) -> None:
    two.write(with_two(two))
    two.link._connected()
    receiver = two.link._process
    assert receiver is not None
    pid = os.fork()
    if pid == 0:  # kills as soon as the site file is written, before HAProxy has it
        old = two.here.file.read_bytes()
        while two.here.file.read_bytes() == old:
            pass
        os.kill(receiver.pid, signal.SIGKILL)
        os._exit(0)
    with pytest.raises(NotRunning):
        two.send()
    os.waitpid(pid, 0)
    two.send()
    assert two.here.tally("VIP", 20).keys() == {"one", "two"}
    assert Applied.read(two.here.state) == two.applied
    assert not list(two.here.folder.glob(".*lbkit*"))
