"""The conversation with the other node: whatever is at the other end of the pipe, the caller gets an answer or words."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.registry import Registry
from lbkit.errors import (
    CannotRun,
    EngineError,
    Misuse,
    NotAllowed,
    NotAnswering,
    NotDone,
    NotRunning,
    Refused,
    RolledBack,
)
from lbkit.operate.receive import Here, serve
from lbkit.pair import link as link_module
from lbkit.pair.lines import Lines
from lbkit.pair.link import Link, ssh_command
from lbkit.site.model import Node, Site

NODES = [{"name": "lb1", "address": "192.0.2.1"}, {"name": "lb2", "address": "192.0.2.2"}]


@pytest.fixture
def loaded(tmp_path: Path) -> Site:
    return lbkit.load_site(written(tmp_path))


def written(folder: Path, *, ssh: Any = None, **more: Any) -> Path:
    file = folder / "site.toml"
    pair = {"nodes": NODES} | ({"ssh": ssh} if ssh else {})
    file.write_text(site(vip("V", "192.0.2.50:80", server("s", "192.0.2.60:80")), pair=pair, **more))
    return file


def link(loaded: Site, script: str, timeout: float = 5.0) -> Link:
    """To a Python script that has `line()`, the next question, and `say(text)`."""
    start = (
        "import sys, time, os\n"
        "def line(): return sys.stdin.readline()\n"
        "def say(text): sys.stdout.write(text); sys.stdout.flush()\n"
    )
    assert loaded.pair is not None
    return Link(loaded, loaded.pair.nodes[1], timeout, [sys.executable, "-I", "-S", "-c", start + script])


def test_one_process_answers_question_after_question(loaded: Site) -> None:
    with link(loaded, 'while line(): say(\'{"ok": true, "pid": %d}\\n\' % os.getpid())') as asked:
        assert asked.ask("one")["pid"] == asked.ask("two")["pid"]


def test_a_process_that_has_ended_meanwhile_is_begun_anew(loaded: Site) -> None:
    with link(loaded, 'line(); say(\'{"ok": true, "pid": %d}\\n\' % os.getpid())') as asked:
        first = asked.ask("one")["pid"]
        time.sleep(0.2)
        assert asked.ask("two")["pid"] != first


def test_silence_ends_in_time_and_its_late_answer_is_nobodys(loaded: Site) -> None:
    script = "n = line(); time.sleep(0.6 if 'slow' in n else 0); say('{\"ok\": true, \"to\": %r}\\n' % n.count('slow'))"
    with link(loaded, script) as asked:
        begun = time.monotonic()
        with pytest.raises(NotAnswering, match=r"node lb2 \(192.0.2.2\) has not answered in 0.3 s"):
            asked.ask("slow", timeout=0.3)
        assert time.monotonic() - begun < 3
        assert asked.ask("fast")["to"] == 0


def test_an_answer_that_trickles_on_for_ever_ends_in_time(loaded: Site) -> None:
    script = "line()\nwhile True: say('x'); time.sleep(0.01)"
    with link(loaded, script) as asked, pytest.raises(NotAnswering):
        asked.ask("one", timeout=0.3)


def test_an_answer_without_end_is_cut(loaded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "LIMIT", 1 << 20)
    with link(loaded, "line()\nwhile True: say('x' * 65536)") as asked, pytest.raises(EngineError, match="without end"):
        asked.ask("one")


def test_much_on_stderr_does_not_hold_the_answer_up(loaded: Site) -> None:
    script = "line(); sys.stderr.write('noise ' * 100000); say('{\"ok\": true}\\n')"
    with link(loaded, script) as asked:
        assert asked.ask("one")["ok"] is True


def test_a_large_question_and_a_large_answer_cross(loaded: Site) -> None:
    script = "line(); say('{\"ok\": true, \"text\": \"' + 'y' * 8000000 + '\"}\\n')"
    with link(loaded, script, 20) as asked:
        assert len(asked.ask("one", text="x" * 8_000_000)["text"]) == 8_000_000


@pytest.mark.parametrize("answer", ["Welcome to lb2!", "[1]", "\x1b[31m", "[" * 20_000])
def test_garbage_is_named_and_shown(loaded: Site, answer: str) -> None:
    script = f"line(); say({answer!r} + '\\n')"
    with link(loaded, script) as asked, pytest.raises(EngineError, match="that is not lbkit") as raised:
        asked.ask("one")
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("root@lb2: Permission denied (publickey).", NotAllowed, "do not know each other .*publickey.*lbkit pair setup"),
        ("No ED25519 host key is known for lb2 and you have requested strict checking.\nHost key verification failed.",
         NotAllowed, "does not know: have the nodes meet"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
         NotAllowed, "another host key"),
        ("ssh: connect to host lb2 port 22: No route to host", NotRunning, "can't be reached over ssh: ssh: .*No route"),
        ("", NotRunning, "hung up before it answered. Is lbkit installed there"),
    ],
)  # fmt: skip
def test_why_ssh_ended_is_said(loaded: Site, said: str, kind: type[Exception], words: str) -> None:
    script = f"sys.stderr.write({said!r}); sys.exit(255)"
    with link(loaded, script) as asked, pytest.raises(kind, match=words):
        asked.ask("one")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"code": 3}, Misuse),
        ({"code": 4}, Refused),
        ({"code": 2}, NotDone),
        ({"code": 2, "rolled_back": True}, RolledBack),
        ({}, NotDone),
        ({"code": [1]}, NotDone),
    ],
)
def test_what_went_wrong_there_is_raised_here(loaded: Site, answer: dict[str, Any], kind: type[Exception]) -> None:
    said = json.dumps({"ok": False, "error": "no.", **answer})
    with (
        link(loaded, f"line(); say({said!r} + '\\n')") as asked,
        pytest.raises(kind, match=r"^node lb2: no\.") as raised,
    ):
        asked.ask("one")
    assert type(raised.value) is kind


def test_a_machine_without_ssh_is_told_what_to_install(loaded: Site) -> None:
    assert loaded.pair is not None
    with pytest.raises(CannotRun, match="Install openssh-client"):
        Link(loaded, loaded.pair.nodes[1], command=["/nowhere/ssh"]).ask("hello")


def test_the_users_own_ssh_settings_are_not_read(loaded: Site) -> None:
    node: Node = loaded.pair.nodes[1]  # type: ignore[union-attr]
    words = ssh_command(loaded, node)
    assert words[:3] == ["ssh", "-F", "none"]
    for option in ("StrictHostKeyChecking=yes", "HostKeyAlias=lb2", "IdentitiesOnly=yes", "BatchMode=yes"):
        assert option in words


def test_a_site_that_changed_is_read_anew_for_the_next_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LBKIT_NODE", "lb1")
    file = written(tmp_path)
    with conversation(file) as (questions, answers):
        assert asked(questions, answers, "hello")["node"] == "lb1"
        file.write_text(file.read_text().replace('"lb1"', '"lb9"'))
        monkeypatch.setenv("LBKIT_NODE", "lb9")
        assert asked(questions, answers, "hello")["node"] == "lb9"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (b"GET / HTTP/1.1", "no question that a node asks"),
        (b"[" * 30_000, "no question that a node asks"),
        (b'{"version": 2, "ask": "hello"}', "speaks version 2, this one 1. Install the same"),
        (b'{"version": 1, "ask": "rm"}', "knows no question 'rm'"),
        (b'{"version": 1, "ask": "table", "do": "drop", "vip": "V"}', "V has no table on this node"),
        (b'{"version": 1, "ask": "intents", "intents": [{"vip": "V"}]}', "the other node's intents can't be read"),
    ],
)
def test_a_bad_question_gets_words_and_the_next_one_its_answer(tmp_path: Path, question: bytes, words: str) -> None:
    with conversation(written(tmp_path)) as (questions, answers):
        questions.write(question + b"\n")
        refused = json.loads(answers.readline())
        assert refused["ok"] is False
        assert refused["code"] == 3
        assert words in refused["error"]
        assert asked(questions, answers, "hello")["ok"] is True


def test_a_node_without_a_site_says_hello_all_the_same(tmp_path: Path) -> None:
    with conversation(tmp_path / "missing.toml") as (questions, answers):
        assert asked(questions, answers, "hello")["node"] == ""


def test_who_hangs_up_in_the_middle_ends_the_conversation(tmp_path: Path) -> None:
    with conversation(written(tmp_path)) as (questions, answers):
        answers.close()
        questions.write(b'{"version": 1, "ask": "hello"}\n')


class conversation:  # noqa: N801
    """`serve` in a thread, over pipes; it has ended when the block has."""

    def __init__(self, file: Path) -> None:
        here, self.questions = os.pipe()
        self.answers, there = os.pipe()

        def work() -> None:
            source, sink = io.FileIO(here), io.BufferedWriter(io.FileIO(there, "w"))
            try:
                serve(Here(file, lambda: lbkit.load_site(file), Registry().kind), source, sink)
            finally:
                source.close()
                sink.raw.close()

        self.thread = threading.Thread(target=work)

    def __enter__(self) -> tuple[io.FileIO, Any]:
        self.thread.start()
        self.out, self.back = io.FileIO(self.questions, "w"), open(self.answers, "rb")
        return self.out, self.back

    def __exit__(self, *about: object) -> None:
        self.out.close()
        self.thread.join(10)
        self.back.close()
        assert not self.thread.is_alive()


def asked(questions: Any, answers: Any, name: str) -> Any:
    questions.write(json.dumps({"version": 1, "ask": name}).encode() + b"\n")
    return json.loads(answers.readline())


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line)), st.integers(1, 7))
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], size: int) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    reader, found = Lines(), []
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
        while (line := reader.take()) is not None:
            found.append(line)
    assert found == lines
    assert len(reader) == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of somebody else")
def test_who_may_not_read_this_nodes_key_is_told_so_and_not_that_the_nodes_have_not_met(tmp_path: Path) -> None:
    key = Path("/tmp") / f"lbkit-key-{os.getpid()}"  # a folder that others may enter
    key.write_text("a key")
    key.chmod(0o600)
    loaded = lbkit.load_site(written(tmp_path, ssh={"key_file": str(key), "port": 1}))
    assert loaded.pair is not None
    os.seteuid(65534)
    try:
        with pytest.raises(NotAllowed, match=rf"can't be asked by this user: {key} is root's"):
            Link(loaded, loaded.pair.nodes[1]).ask("hello")
    finally:
        os.seteuid(0)
        key.unlink()
