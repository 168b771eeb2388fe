"""The receivers of a site: plugins by their entry point, each with its settings; and what a new site changes."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from unit.site_text import server, site, vip
from unit.taker import PATIENCE, eventually, tell

from lbkit.agent import following
from lbkit.agent.receivers import Receivers
from lbkit.errors import Misuse, PluginBroken
from lbkit.lint import lint
from lbkit.site.load import load_site
from lbkit.state.events import Event
from lbkit.state.log import Place
from lbkit.state.places import Places
from lbkit.state.receiver_plugins import ReceiverPlugins, receivers_of

GROUP = "lbkit.receivers"
GOOD = """
    import json
    from lbkit.hookspecs import hookimpl
    from lbkit.site.values import Duration, File, Table

    class Settings(Table):
        '''Writes them down.'''
        out_file: File
        most: tuple[int, ...] = ()
        timeout: Duration = 5.0

    @hookimpl
    def lbkit_event_settings():
        return Settings

    @hookimpl
    def lbkit_event(event, settings, active):
        with open(settings.out_file, "a") as file:
            print(json.dumps(["{name}", event.text, active, settings.timeout]), file=file)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(following, "_LOOKS_EVERY", 0.02)


def written(folder: Path, receivers) -> Path:
    """A site file with these `[alerts.receivers]`."""
    more = {"alerts": {"sender": "lb@example.org", "to": ["a@example.org"], "receivers": receivers}}
    text = site(vip("A", "192.0.2.1:80", server("a", "192.0.2.2:80")), **(more if receivers is not None else {}))
    (folder / "site.toml").write_text(text)
    return folder / "site.toml"


def loaded(folder, receivers):
    return load_site(written(folder, receivers), {})


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def run(tmp_path):
    """`run(receivers)`: those of such a site; each was there before the first event. Mail is for others to test."""
    state = tmp_path / "state"
    started = []

    def run(receivers, active=True):
        for name in receivers:
            if Places(state).of(name) is None:
                Places(state).keep(name, Place())
        made = Receivers(loaded(tmp_path, receivers), state)
        started.append(made)
        made.start()
        made.tell(active)
        return made

    yield run
    for one in started:
        one.stop()


@pytest.fixture(autouse=True)
def no_mail(monkeypatch):
    """Mail has tests of its own."""

    class Nobody:
        name, at_once = "mail", 1000

        def __init__(self, site, state):
            pass

        def take(self, events, active):
            return None

    monkeypatch.setattr("lbkit.agent.receivers._mail", Nobody)


def test_a_plugin_gets_every_event_with_its_settings(install, run, tmp_path):
    install("lbkit-noted", "noted", GOOD, GROUP)
    (tmp_path / "out").touch()
    tell(tmp_path / "state", "a")
    receivers = run({"noted": {"out_file": "out", "timeout": "2m", "most": [1, 2]}}, False)
    tell(tmp_path / "state", "b")
    eventually(lambda: len(lines(tmp_path / "out")) == 2)
    assert lines(tmp_path / "out") == [["noted", "a", False, 120.0], ["noted", "b", False, 120.0]]
    assert receivers.state == {"noted": "", "mail": ""}


def test_what_waited_while_this_node_told_others_is_told_when_it_does_no_longer(install, run, tmp_path):
    source = GOOD.replace(
        "with open", "assert not event.text == 'b' or settings.out_file.endswith('out')\n        with open"
    )
    install("lbkit-noted", "noted", source, GROUP)
    receivers = run({"noted": {"out_file": "elsewhere"}}, False)
    tell(tmp_path / "state", "a", when=time.time())
    eventually(lambda: lines(tmp_path / "elsewhere"))
    receivers.tell(True)
    tell(tmp_path / "state", "b", when=time.time())
    eventually(lambda: receivers.state["noted"])
    receivers.tell(False)
    receivers.tell(False)
    receivers.take_site(loaded(tmp_path, {"noted": {"out_file": "out"}}))
    tell(tmp_path / "state", "c", when=time.time() + 1)
    eventually(lambda: len(lines(tmp_path / "out")) == 2)
    assert [active for _, _, active, _ in lines(tmp_path / "elsewhere")] == [False]
    assert [(text, active) for _, text, active, _ in lines(tmp_path / "out")] == [("b", True), ("c", False)]


def test_one_that_is_broken_or_not_there_is_named_and_the_others_get_theirs(install, run, tmp_path):
    install("lbkit-noted", "noted", GOOD, GROUP)
    install("lbkit-broken", "broken", "raise RuntimeError('a bug')", GROUP)
    tell(tmp_path / "state", "a")
    receivers = run({"noted": {"out_file": "out"}, "broken": {}, "absent": {}})
    eventually(lambda: lines(tmp_path / "out"))
    eventually(lambda: receivers.state["broken"] and receivers.state["absent"])
    assert "the plugin of broken (lbkit-broken) can't be used: RuntimeError: a bug" in receivers.state["broken"]
    assert "no plugin gives the receiver absent" in receivers.state["absent"]
    assert receivers.state["noted"] == ""


def test_settings_that_are_wrong_are_trouble_of_that_receiver(install, run, tmp_path):
    install("lbkit-noted", "noted", GOOD, GROUP)
    receivers = run({"noted": {"out_file": "out", "timeout": 5}})
    said = eventually(lambda: receivers.state["noted"])
    assert said.startswith("[alerts.receivers.noted] can't be used: noted: timeout: a duration carries its unit")


def test_a_new_site_restarts_those_alone_whose_settings_changed(install, run, tmp_path):
    for name in ("one", "two", "three"):
        install(f"lbkit-{name}", name, GOOD, GROUP)
    given = {name: {"out_file": name} for name in ("one", "two", "three")}
    receivers = run(given)
    before = dict(receivers._followers)
    changed = {"one": given["one"], "two": {"out_file": "other"}}
    receivers.take_site(loaded(tmp_path, changed))
    assert receivers._followers["one"] is before["one"]
    assert receivers._followers["two"] is not before["two"]
    tell(tmp_path / "state", "a")
    eventually(lambda: lines(tmp_path / "one") and lines(tmp_path / "other"))
    assert before["three"][1].join(PATIENCE)
    assert not lines(tmp_path / "two")
    assert not lines(tmp_path / "three")
    assert Places(tmp_path / "state").of("three") is None
    assert set(receivers.state) == {"one", "two", "mail"}


def test_a_reload_tries_one_in_trouble_at_once(install, run, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_FIRST", 60.0)
    install("lbkit-noted", "noted", GOOD, GROUP)
    (tmp_path / "out").mkdir()
    tell(tmp_path / "state", "a")
    receivers = run({"noted": {"out_file": "out"}})
    eventually(lambda: receivers.state["noted"])
    (tmp_path / "out").rmdir()
    receivers.take_site(loaded(tmp_path, {"noted": {"out_file": "out"}}))
    eventually(lambda: lines(tmp_path / "out"))


def test_a_site_without_alerts_has_no_receivers(run, tmp_path):
    receivers = run({})
    receivers.take_site(loaded(tmp_path, None))
    assert receivers.state == {}


def test_the_end_is_not_waited_for_where_one_hangs(install, run, tmp_path):
    install("lbkit-hung", "hung", GOOD.replace("with open", "import time; time.sleep(3)\n        with open"), GROUP)
    tell(tmp_path / "state", "a")
    receivers = run({"hung": {"out_file": "out"}})
    hung = receivers._followers["hung"][1]
    eventually(lambda: hung._receiver and hung._busy_since)
    begin = time.monotonic()
    receivers.stop()
    assert 0.3 < time.monotonic() - begin < 2.0


def test_what_a_site_asks_for_is_what_runs(install, run, tmp_path):
    receivers = run({"b": {}, "a": {}})
    asked = receivers_of(loaded(tmp_path, {"b": {}, "a": {}}))
    assert asked == ("mail", "a", "b")
    assert set(receivers.state) == set(asked)


# --- plugins ---

BROKEN = {
    "no event": (GOOD.replace("def lbkit_event(", "def nothing("), "unknown hook|it implements no hook lbkit_event"),
    "no settings": (
        "from lbkit.hookspecs import hookimpl\n@hookimpl\ndef lbkit_event(event): pass",
        "it implements no hook lbkit_event_settings",
    ),
    "other arguments": (GOOD.replace("active", "is_active"), "is_active"),
    "no model": (GOOD.replace("return Settings", "return dict"), "gives <class 'dict'>, which is no pydantic model"),
    "nothing": (GOOD.replace("return Settings", "return None"), "gives None, which is no pydantic model"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_plugin_that_is_no_receiver_is_reported_by_name(install, fault):
    source, error = BROKEN[fault]
    install("lbkit-broken", "broken", source, GROUP)
    install("lbkit-noted", "noted", GOOD, GROUP)
    plugins = ReceiverPlugins()
    with pytest.raises(PluginBroken, match=error):
        plugins.kind("broken")
    assert plugins.kind("noted").name == "noted"
    found = {one.name: one.error for one in plugins.plugins()}
    assert found["broken"]
    assert found["noted"] is None


def test_a_plugin_may_not_take_the_name_of_a_receiver_of_our_own(install):
    install("lbkit-evil", "mail", GOOD, GROUP)
    with pytest.raises(PluginBroken, match="names that begin with mail or traps- are lbkit's own"):
        ReceiverPlugins().kind("mail")


def test_one_that_is_left_out_is_not_there(install, monkeypatch):
    install("lbkit-noted", "noted", GOOD, GROUP)
    monkeypatch.setenv("LBKIT_DISABLE_PLUGINS", "noted")
    with pytest.raises(Misuse, match="left out by LBKIT_DISABLE_PLUGINS"):
        ReceiverPlugins().kind("noted")


def test_two_plugins_share_their_hooks_and_each_hears_its_own_alone(install, run, tmp_path):
    for name in ("one", "two"):
        install(f"lbkit-{name}", name, GOOD, GROUP)
    plugins = ReceiverPlugins()
    kinds = {name: plugins.kind(name) for name in ("one", "two")}
    kinds["one"].take(Event("test", "a"), kinds["one"].read({"out_file": str(tmp_path / "out")}), True)
    assert lines(tmp_path / "out") == [["one", "a", True, 5.0]]


# --- lint ---


def findings(folder, receivers):
    file = written(folder, receivers)
    found = [str(one).removeprefix(f"{file}:") for one in lint(file, {}) if one.key.startswith("alerts.receivers")]
    return [re.sub(r"^\d+: ", "", one) for one in found]


def test_lint_says_what_is_wrong_with_a_receiver(install, tmp_path):
    install("lbkit-noted", "noted", GOOD, GROUP)
    assert findings(tmp_path, {"noted": {"outfile": "x", "timeout": "5"}}) == [
        "error: alerts.receivers.noted.out_file: noted: out_file is missing. Add it. (missing)",
        "error: alerts.receivers.noted.outfile: noted: there is no key outfile. Did you mean out_file? (unknown-key)",
        "error: alerts.receivers.noted.timeout: noted: timeout: '5' is no duration; write a number and its unit (d, h, m, "
        "s, ms), such as 12h or 5s. (value)",
    ]


def test_lint_names_the_line_of_what_is_wrong(install, tmp_path):
    install("lbkit-noted", "noted", GOOD, GROUP)
    file = written(tmp_path, {"noted": {"out_file": "x", "zzz": 1}})
    (found,) = [one for one in lint(file, {}) if one.rule == "unknown-key"]
    assert file.read_text().splitlines()[found.line - 1] == "zzz = 1"


def test_lint_names_a_receiver_that_nobody_gives_and_one_that_is_broken(install, tmp_path):
    install("lbkit-broken", "broken", "raise RuntimeError('a bug')", GROUP)
    unknown, broken = findings(tmp_path, {"webhok": {}, "broken": {}})
    assert re.match(
        r"error: alerts.receivers.webhok: no plugin gives the receiver webhok; there are: .*broken", unknown
    )
    assert re.match(
        r"error: alerts.receivers.broken: the plugin of broken \(lbkit-broken\) can't be used: .*a bug", broken
    )


def test_lint_finds_a_file_that_is_not_there_and_a_secret_that_everybody_may_read(install, tmp_path):
    source = GOOD.replace("most: tuple[int, ...] = ()", "secret_file: File")
    install("lbkit-noted", "noted", source, GROUP)
    assert findings(tmp_path, {"noted": {"out_file": "x", "secret_file": "y"}}) == [
        f"error: alerts.receivers.noted.out_file: {tmp_path}/x is not there. Put the file there, or correct the path. "
        "(file-missing)",
        f"error: alerts.receivers.noted.secret_file: {tmp_path}/y is not there. Put the file there, or correct the path. "
        "(file-missing)",
    ]
    for name in "xy":
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    assert findings(tmp_path, {"noted": {"out_file": "x", "secret_file": "y"}}) == [
        f"warning: alerts.receivers.noted.secret_file: noted: every user of this machine may read {tmp_path}/y. "
        f"Run: chmod o-rwx {tmp_path}/y (readable-by-all)"
    ]
