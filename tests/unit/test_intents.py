import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.cut_short import killed_at_line

from lbkit.errors import CannotRun, LbkitError, Misuse
from lbkit.state.intents import Intent, Intents

NOW = 1_900_000_000.0
TEXTS = st.text(max_size=40)
LABELS = st.text(min_size=1, max_size=20)
TIMES = st.floats(0, 32_503_680_000)
INTENTS = st.builds(
    Intent,
    LABELS,
    LABELS,
    st.sampled_from(["online", "drain", "halt"]),
    weight=st.none() | st.integers(0, 256),
    sticky=st.booleans(),
    who=TEXTS,
    when=TIMES,
    why=TEXTS,
    until=st.none() | TIMES,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def store(tmp_path):
    return Intents(tmp_path / "state")


@pytest.fixture
def as_nobody(tmp_path):
    """The rest of the test has no rights beyond those of `other`."""
    if os.geteuid():
        yield
    else:
        os.seteuid(65534)
        yield
        os.seteuid(0)


def drain(server="a", vip="V", **more):
    return Intent(vip, server, "drain", **more)


@settings(deadline=None)
@given(INTENTS)
def test_an_intent_is_the_same_after_json(intent):
    assert Intent.of(json.loads(json.dumps(intent.as_dict()))) == intent


def test_times_are_written_as_iso_8601_in_utc():
    written = drain(when=NOW + 0.0004, until=NOW + 1.25).as_dict()
    assert (written["when"], written["until"]) == ("2030-03-17T17:46:40.000Z", "2030-03-17T17:46:41.250Z")


def test_a_time_with_another_offset_is_the_same_moment():
    values = drain(when=NOW).as_dict() | {"when": "2030-03-17T19:46:40+02:00"}
    assert Intent.of(values).when == NOW


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"vip": ""}, "vip of an intent is ''; give a label."),
        ({"server": 5}, "server of an intent is 5; give a text"),
        ({"wanted": "stop"}, "wanted of an intent is 'stop'; give online, drain or halt."),
        ({"wanted": ["halt"]}, "wanted of an intent"),
        ({"weight": 257}, "weight of an intent is 257; give a number from 0 to 256."),
        ({"weight": True}, "weight of an intent is True"),
        ({"sticky": 1}, "sticky of an intent is 1; give true or false."),
        ({"why": "x" * 1001}, "why of an intent is 'xxx"),
        ({"when": None}, "when of an intent is None"),
        ({"when": "2030-03-17T17:46:40"}, "give a time such as 2026-03-01T12:00:00Z."),
        ({"when": "1969-12-31T23:59:59Z"}, "give a time between 1970 and 3000."),
        ({"until": 1900000000}, "until of an intent is 1900000000; give a time such as"),
        ({"untill": None}, "an intent has a key 'untill'; its keys are vip, server, wanted"),
    ],
)
def test_what_no_intent_can_be_is_misuse_and_names_the_key(changed, says):
    with pytest.raises(Misuse) as raised:
        Intent.of(drain().as_dict() | changed)
    assert says in str(raised.value)


@pytest.mark.parametrize("when", [float("nan"), float("inf"), -1.0])
def test_an_intent_has_a_time_that_can_be_written(when):
    with pytest.raises(Misuse, match="give a time between"):
        drain(when=when)


def test_an_intent_without_a_server_is_misuse():
    with pytest.raises(Misuse, match="has no key 'server'"):
        Intent.of({"vip": "V", "wanted": "halt"})


def test_nothing_is_asked_of_a_store_that_is_not_there_and_reading_makes_none(store):
    assert (store.all(), store.ended(NOW), store.of("V", "a"), store.generation) == ((), (), None, 0)
    assert store.forget([]) == ()
    store.record()
    assert not store.path.parent.exists()


def test_the_last_word_on_a_server_is_kept_an_online_one_too(store):
    back = Intent("V", "a", "online", who="anna@lb1", when=1.0)
    store.record(drain(when=2.0), drain("b"))
    store.record(back)  # the last word, whatever the clock said
    assert store.of("V", "a") == back
    assert store.all(NOW) == (back, drain("b"))


def test_of_two_words_at_once_the_later_counts(store):
    store.record(drain(why="first"), drain(why="second"))
    assert [intent.why for intent in store.all()] == ["second"]


def test_intents_are_told_by_vip_and_server_whatever_their_order(store):
    store.record(drain("b", "W"), drain("b", "V"), drain("a", "W"))
    assert [(intent.vip, intent.server) for intent in store.all()] == [("V", "b"), ("W", "a"), ("W", "b")]


def test_an_intent_whose_time_is_up_is_no_longer_in_force_and_has_ended(store):
    store.record(drain(until=NOW), drain("b", until=NOW + 1), drain("c"))
    assert [intent.server for intent in store.all(NOW)] == ["b", "c"]
    assert [intent.server for intent in store.ended(NOW)] == ["a"]
    assert store.of("V", "a").is_over(NOW)
    assert store.ended(NOW - 0.001) == ()


def test_intents_without_a_moment_are_those_of_now(store):
    store.record(drain(until=time.time() - 1), drain("b", until=time.time() + 60))
    assert [intent.server for intent in store.all()] == ["b"]


def test_what_the_site_no_longer_has_is_forgotten_and_told(store):
    store.record(drain(), drain("b"), drain("a", "GONE"))
    assert store.forget([("V", "a"), ("V", "never-asked")]) == (drain("a", "GONE"), drain("b"))
    assert store.all() == (drain(),)


def test_the_generation_counts_changes_alone(store):
    store.record(drain(), drain("b"))
    assert store.generation == 1
    store.forget([("V", "a"), ("V", "b")])
    store.record()
    assert store.generation == 1
    store.forget([("V", "a")])
    assert store.generation == 2


def test_the_file_says_its_version_and_is_for_owner_and_group_alone(store):
    store.record(drain(when=NOW))
    assert json.loads(store.path.read_bytes()) == {
        "version": 1,
        "generation": 1,
        "intents": [drain(when=NOW).as_dict()],
    }
    folder = store.path.parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {"state": 0o770, "intents.json": 0o660, "intents.lock": 0o660}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to any group")
def test_files_belong_to_the_group_of_the_folder(store):
    store.path.parent.mkdir(mode=0o770)
    os.chown(store.path.parent, 0, 4321)
    store.record(drain())
    assert {path.stat().st_gid for path in store.path.parent.iterdir()} == {4321}


def test_lbkit_state_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LBKIT_STATE", str(tmp_path / "elsewhere"))
    Intents().record(drain())
    assert (tmp_path / "elsewhere" / "intents.json").exists()
    monkeypatch.delenv("LBKIT_STATE")
    assert Intents().path == Path("/var/lib/lbkit/intents.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("\udcff", "it is no JSON"),
        ("[" * 100_000, "can't be used"),
        ("[]", "it is no store of intents of version 1"),
        ("{}", "it is no store of intents of version 1"),
        ('{"version": true, "generation": 1, "intents": []}', "it is no store"),
        ('{"version": 0, "generation": 1, "intents": []}', "it is no store"),
        ('{"version": 1, "generation": 1, "intents": [], "more": 1}', "it is no store"),
        ('{"version": 2, "intents": {}}', "a newer lbkit wrote it (version 2; this one knows 1). Use that lbkit."),
        ('{"version": 1, "generation": -1, "intents": []}', "generation is to be a number"),
        ('{"version": 1, "generation": 1, "intents": {}}', "intents an array"),
        ('{"version": 1, "generation": 1, "intents": [7]}', "an intent is an object"),
        (json.dumps({"version": 1, "generation": 1, "intents": [drain().as_dict()] * 2}), "it has two intents for one"),
    ],
)
def test_a_broken_store_is_never_taken_for_an_empty_one(store, content, says):
    store.path.parent.mkdir()
    raw = content.encode(errors="surrogateescape")
    store.path.write_bytes(raw)
    for deed in (store.all, lambda: store.record(drain()), lambda: store.forget([]), lambda: store.generation):
        with pytest.raises(Misuse) as raised:
            deed()
        assert str(raised.value).startswith(f"{store.path} can't be used: ")
        assert says in str(raised.value)
        assert str(raised.value).endswith("Nothing was changed.")
    assert store.path.read_bytes() == raw
    assert {path.name for path in store.path.parent.iterdir()} <= {"intents.json", "intents.lock"}


@settings(deadline=None)
@given(JSON | st.fixed_dictionaries({"version": st.just(1), "generation": st.integers(), "intents": st.lists(JSON)}))
def test_no_document_raises_anything_but_what_lbkit_raises(tmp_path_factory, document):
    store = Intents(tmp_path_factory.getbasetemp() / "documents")
    store.path.parent.mkdir(exist_ok=True)
    store.path.write_text(json.dumps(document))
    try:
        store.all()
    except LbkitError:
        return
    assert document["version"] == 1


@settings(deadline=None)
@given(INTENTS, st.sampled_from(list(drain().as_dict())), JSON)
def test_no_value_of_an_intent_raises_anything_but_what_lbkit_raises(intent, key, value):
    values = intent.as_dict() | {key: value}
    try:
        assert Intent.of(values).as_dict().keys() == values.keys()
    except LbkitError as e:
        assert f"{key} of an intent is" in str(e)  # noqa: PT017


@pytest.mark.usefixtures("as_nobody")
def test_a_folder_that_nobody_may_enter_is_one_clear_message(tmp_path):
    folder = Path("/proc/1/root") / "lbkit"  # root's, as /var/lib/lbkit is
    with pytest.raises(CannotRun, match="can't be read: Permission denied"):
        Intents(folder).all()
    with pytest.raises(CannotRun, match=r"intents can't be kept in .*: Permission denied. Run this as root"):
        Intents(Path("/lbkit-is-not-to-write-here")).record(drain())


def test_a_folder_that_is_a_file_is_one_clear_message(tmp_path):
    (tmp_path / "file").write_text("")
    for deed in (Intents(tmp_path / "file").all, lambda: Intents(tmp_path / "file").record(drain())):
        with pytest.raises(CannotRun, match=r"file"):
            deed()


def test_who_holds_the_lock_too_long_is_named_and_nothing_changes(store):
    store.record(drain())
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(store.path.with_name("intents.lock"))], stdout=subprocess.PIPE
    )
    try:
        holder.stdout.readline()
        began = time.monotonic()
        with pytest.raises(CannotRun, match=r"another lbkit has held .*intents.lock for 0.2 s\. Try again"):
            Intents(store.path.parent, timeout=0.2).record(drain("b"))
        assert 0.2 <= time.monotonic() - began < 5
        assert store.all() == (drain(),)
    finally:
        holder.kill()
        holder.communicate()
    store.record(drain("b"))  # the lock of the dead is nobody's
    assert store.generation == 2


_HOLD = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True); time.sleep(60)"

_RECORD = """
import sys
from pathlib import Path
from lbkit.state.intents import Intent, Intents
for n in range(25):
    Intents(Path(sys.argv[1]), timeout=60).record(Intent("V", f"{sys.argv[2]}-{n}", "drain"), Intent("V", "shared", "halt"))
"""


def test_several_processes_at_once_lose_nothing(store):
    writers = [subprocess.Popen([sys.executable, "-c", _RECORD, str(store.path.parent), str(n)]) for n in range(4)]
    seen = [0]
    while any(writer.poll() is None for writer in writers):
        seen.append(store.generation)  # a reader always finds a whole file
    assert [writer.returncode for writer in writers] == [0] * 4
    assert {intent.server for intent in store.all()} == {f"{w}-{n}" for w in range(4) for n in range(25)} | {"shared"}
    assert store.generation == 100
    assert seen == sorted(seen)


def test_a_crash_at_any_line_leaves_the_old_or_the_new(store):
    store.record(drain(why="old"))
    outcomes = []
    for number in range(1, 500):
        generation = store.generation
        files = ("disk.py", "state/intents.py")
        if not killed_at_line(number, files, lambda: store.record(drain(why="new"), drain("b"))):
            break
        grown = store.generation - generation
        assert [intent.why for intent in store.all()] == (["new", ""] if grown else ["old"])
        outcomes.append(grown)
        store.forget([("V", "a")])
        store.record(drain(why="old"))
        assert {path.name for path in store.path.parent.iterdir()} == {"intents.json", "intents.lock"}
    assert set(outcomes) == {0, 1}
    assert outcomes == sorted(outcomes)
    assert len(outcomes) > 50


def test_what_was_asked_before_can_be_put_back(tmp_path: Path) -> None:
    store = Intents(tmp_path)
    first = Intent("A", "one", "drain", when=1.0)
    store.record(first)
    before = {("A", "one"): store.of("A", "one"), ("A", "two"): store.of("A", "two")}
    store.record(Intent("A", "one", "halt", when=2.0), Intent("A", "two", "halt", when=2.0))
    store.restore(before)
    assert store.all(3.0) == (first,)
