"""The operator's commands as a user meets them, on a real HAProxy of both versions."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interop.engines import HAPROXIES, haproxy_of
from interop.operated import CHECK, Named, Operated, operated, three_vips
from interop.remotes import HOST, free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import HAPROXY
from lbkit.operate.online import online
from lbkit.operate.overview import overview
from lbkit.testing import ThrowawayCA
from lbkit_cli.main import main

LBKIT = Path(sys.executable).parent / "lbkit"
Run = Callable[..., "Ran"]


@pytest.fixture(scope="module", params=HAPROXIES)
def applied(request: pytest.FixtureRequest) -> Iterator[Operated]:
    """LAST, SOURCE, NONE and, with TLS that ends at it, SECURED, in front of the servers one and two."""
    folder = Path(tempfile.mkdtemp(prefix="lb"))
    one, two = Named("one"), Named("two", "127.0.0.2")
    own = ThrowawayCA(folder).server
    secured = vip(
        "SECURED",
        f"{HOST}:{free_port()}",
        server("one", f"{HOST}:{one.port}"),
        check=CHECK,
        termination={"certificate": "own"},
    )
    vips = [*three_vips(one, two), secured]
    certificates = {"own": {"file": own.cert_file, "key_file": own.key_file}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HAPROXY, haproxy_of(request.param).path)
        with operated(folder, *vips, servers={"one": one, "two": two}, certificates=certificates) as made:
            patch.setenv("LBKIT_SITE", str(made.file))
            patch.setenv("LBKIT_STATE", str(made.state))
            patch.setenv("COLUMNS", "120")
            yield made
    shutil.rmtree(folder)


@pytest.fixture
def site(applied: Operated) -> Operated:
    """With everything online and up, and LAST stuck to its first server."""
    for one in applied.site.vips:
        for real in one.servers:
            online(applied.site, applied.asked(one.label, real.label))
    until(lambda: all(one.health == "up" for view in overview(applied.site) for one in view.servers))
    applied.haproxy.runtime.clear_table("LAST")
    assert applied.named("LAST") == "one"
    return applied


def until(holds: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


class Ran:
    """A command that has ended. `json`: what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def lbkit(site: Operated, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """What the installed command runs, in this process."""

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["lbkit", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        said = capsys.readouterr()
        return Ran(code if isinstance(code, int) else 0, said.out, said.err)

    return run


def row(text: str, *words: str) -> str:
    return next(line for line in text.splitlines() if all(word in line.split() for word in words))


def test_the_overview_of_a_site_where_all_is_well(lbkit: Run) -> None:
    ran = lbkit("overview")
    assert (ran.code, ran.err) == (0, "")
    assert row(ran.out, "LAST").split()[-1] == "green"
    assert row(ran.out, "▸").split()[1] == "one"
    assert list(lbkit("overview", "--json").json) == ["site", "vips"]
    assert [one["vip"] for one in lbkit("overview", "NONE", "LAST", "--json").json["vips"]] == ["NONE", "LAST"]


def test_a_drain_is_done_shown_and_taken_back(lbkit: Run, site: Operated) -> None:
    ran = lbkit("drain", "LAST", "one", "--reason", "updates", "--for", "2h")
    assert ran.code == 0
    assert ran.out.startswith("drain LAST / one: ")
    assert site.named("LAST") == "two"
    assert [(one["vip"], one["why"]) for one in lbkit("intents", "--json").json["intents"]] == [("LAST", "updates")]
    shown = lbkit("overview", "LAST")
    assert shown.code == 1
    assert "drain until" in shown.out
    assert "updates" in shown.out
    back = lbkit("online", "LAST", "one", "--json")
    assert back.code == 0
    assert [(one["vip"], one["server"], one["verb"]) for one in back.json["done"]] == [("LAST", "one", "online")]
    assert lbkit("intents", "--json").json == {"intents": [], "peer": None}
    assert lbkit("overview", "LAST").code == 0


@pytest.mark.parametrize("verb", ["drain", "halt"])
def test_a_dry_run_says_what_would_be_and_touches_nothing(lbkit: Run, verb: str) -> None:
    ran = lbkit(verb, "LAST", "one", "--dry-run", "--wait")
    assert ran.code == 0
    assert all(line.startswith(f"would {verb} LAST / one: ") for line in ran.out.splitlines())
    assert lbkit("intents", "--json").json == {"intents": [], "peer": None}
    assert lbkit("overview", "LAST").code == 0


def test_the_last_real_server_that_serves_is_refused_with_4_and_forced(lbkit: Run) -> None:
    lbkit("drain", "NONE", "one")
    refused = lbkit("halt", "NONE", "two")
    assert (refused.code, refused.out) == (4, "")
    assert "--force" in refused.err
    assert lbkit("halt", "NONE", "two", "--force").code == 0
    assert lbkit("overview", "NONE").code == 2


def test_a_halt_ends_connections_in_every_vip(lbkit: Run, site: Operated) -> None:
    with site.connect("LAST") as connection:
        assert connection.recv(64) == b"one\n"
        ran = lbkit("halt", "LAST", "one", "--wait", "--timeout", "5s")
        assert ran.code == 0
        assert "nothing is left" in ran.err
        assert connection.recv(64) == b""


def test_a_server_is_drained_in_all_vips_at_once(lbkit: Run) -> None:
    ran = lbkit("drain", "two", "--all-vips", "--json", "--dry-run")
    assert ran.code == 0
    assert [(one["vip"], one["server"]) for one in ran.json["done"]] == [
        ("LAST", "two"),
        ("SOURCE", "two"),
        ("NONE", "two"),
    ]


def test_a_wait_that_runs_out_is_5_and_json_has_what_is_left(lbkit: Run, site: Operated) -> None:
    with site.connect("LAST") as connection:
        assert connection.recv(64) == b"one\n"
        ran = lbkit("drain", "LAST", "one", "--wait", "--timeout", "600ms", "--json")
        assert ran.code == 5
        assert ran.json["done"][0]["connections"] == 1
        assert "still" in ran.err
        assert lbkit("overview", "LAST").code == 1  # what was done holds


def test_a_wait_ends_when_the_last_connection_does(lbkit: Run, site: Operated) -> None:
    connection = site.connect("LAST")
    assert connection.recv(64) == b"one\n"
    threading.Timer(0.5, connection.shutdown, (socket.SHUT_RDWR,)).start()
    ran = lbkit("drain", "LAST", "one", "--wait", "--timeout", "8s", "--json")
    assert ran.code == 0
    assert ran.json["done"][0]["connections"] == 0
    connection.close()


def test_a_weight_is_set_and_shown_with_the_sites(lbkit: Run) -> None:
    assert lbkit("weight", "NONE", "two", "7").code == 0
    assert " 7, site 100 " in lbkit("overview", "NONE").out
    assert "online, weight 7" in row(lbkit("intents").out, "NONE", "two")
    assert lbkit("weight", "NONE", "two", "100", "--json").code == 0
    assert lbkit("intents", "--json").json == {"intents": [], "peer": None}


def test_a_table_is_shown_and_cleared(lbkit: Run, site: Operated) -> None:
    shown = lbkit("show-table", "LAST")
    assert shown.code == 0
    assert row(shown.out, "one").split()[:3] == ["1", "one", "never"]
    found = lbkit("show-table", "LAST", "--server", "one", "--json").json
    assert [one["server"] for one in found["entries"]] == ["one"]
    assert lbkit("clear-table", "LAST", "--dry-run").out.startswith("would clear-table LAST: ")
    assert len(lbkit("show-table", "LAST", "--json").json["entries"]) == 1
    assert lbkit("clear-table", "LAST", "--json").code == 0
    assert lbkit("show-table", "LAST", "--json").json["entries"] == []
    assert site.named("SOURCE")
    shown = lbkit("show-table", "SOURCE")
    assert "ends in" in shown.out
    assert "127.0.0.1" in shown.out


def test_entries_of_one_client_or_one_server_are_shown_and_cleared(lbkit: Run, site: Operated) -> None:
    clients = {f"127.0.0.{number}": site.named("SOURCE", f"127.0.0.{number}") for number in range(21, 27)}
    of_one = {client for client, label in clients.items() if label == "one"}

    def kept(*choice: str) -> set[str]:
        return {one["key"] for one in lbkit("show-table", "SOURCE", *choice, "--json").json["entries"]}

    assert of_one
    assert kept("--server", "one") & clients.keys() == of_one
    assert kept("--key", "127.0.0.21") == {"127.0.0.21"}
    few = lbkit("show-table", "SOURCE", "--limit", "2")
    assert f"{len(kept()) - 2} more than are shown (--limit)" in few.out
    assert lbkit("clear-table", "SOURCE", "--key", "127.0.0.21").code == 0
    assert kept() >= clients.keys() - {"127.0.0.21"}
    assert "127.0.0.21" not in kept()
    assert lbkit("clear-table", "SOURCE", "--server", "one").code == 0
    assert not kept() & of_one


def test_clients_that_the_table_keeps_stay_or_move_as_it_is_asked(lbkit: Run, site: Operated) -> None:
    client = next(f"127.0.0.{number}" for number in range(31, 51) if site.named("SOURCE", f"127.0.0.{number}") == "one")
    kept = lbkit("drain", "SOURCE", "one")
    assert "--sticky move" in kept.err
    assert site.named("SOURCE", client) == "one"
    assert lbkit("drain", "SOURCE", "one", "--sticky", "move").err == ""
    assert site.named("SOURCE", client) == "two"
    assert "sticky clients move" in lbkit("intents").out


def test_sessions_end_with_the_table_that_is_cleared(lbkit: Run, site: Operated) -> None:
    with site.connect("LAST") as connection:
        assert connection.recv(64) == b"one\n"
        assert lbkit("clear-table", "LAST", "--end-sessions").code == 0
        assert connection.recv(64) == b""


def test_a_last_successful_vip_is_pinned_and_goes_back_to_the_first(lbkit: Run, site: Operated) -> None:
    assert lbkit("pin", "LAST", "two", "--dry-run").out.startswith("would pin LAST / two: ")
    assert site.named("LAST") == "one"
    assert lbkit("pin", "LAST", "two").code == 0
    assert site.named("LAST") == "two"
    assert "warning  LAST is stuck to two" in lbkit("overview", "LAST").out
    assert lbkit("pin", "LAST", "--first", "--json").json["done"][0]["server"] == "one"
    assert site.named("LAST") == "one"


def test_a_server_that_does_not_serve_is_not_pinned(lbkit: Run) -> None:
    lbkit("halt", "LAST", "two")
    assert lbkit("pin", "LAST", "two").code == 4
    assert lbkit("pin", "LAST", "two", "--force").code == 0


def test_why_says_what_to_type_next(lbkit: Run) -> None:
    lbkit("drain", "LAST", "two", "--reason", "updates")
    ran = lbkit("why", "LAST", "two")
    assert ran.code == 0
    assert "updates" in ran.out
    assert "  lbkit online LAST two" in ran.out.splitlines()
    assert list(lbkit("why", "LAST", "--json").json) == ["title", "paragraphs", "next"]


def test_a_configuration_is_rendered_and_does_not_differ_once_it_is_applied(lbkit: Run, site: Operated) -> None:
    text = lbkit("render", "haproxy").out
    assert text == (site.folder / "etc" / "haproxy.cfg").read_text()
    assert lbkit("render", "haproxy", "--json").json == {"configuration": text}
    assert (lbkit("diff").code, lbkit("diff").out) == (0, "")
    assert lbkit("diff", "--json").json == {"changes": []}
    applied = lbkit("apply", "--json")
    assert (applied.code, applied.json["reloaded"], applied.json["changes"]) == (0, False, [])


def test_what_was_changed_by_hand_is_shown_and_put_right(lbkit: Run, site: Operated) -> None:
    configuration = site.folder / "etc" / "haproxy.cfg"
    configuration.write_text(configuration.read_text() + "# by hand\n")
    shown = lbkit("diff")
    assert shown.code == 1
    assert "\n-# by hand\n" in shown.out
    assert [one["change"] for one in lbkit("diff", "--json").json["changes"]] == ["changed"]
    assert lbkit("apply", "--dry-run").code == 0
    assert "# by hand" in configuration.read_text()
    ran = lbkit("apply")
    assert ran.code == 0
    assert ran.err == ""
    assert lbkit("diff").code == 0
    assert site.named("LAST") == "one"


def test_a_reload_keeps_a_drain(lbkit: Run, site: Operated) -> None:
    lbkit("drain", "LAST", "one")
    dry = lbkit("reload", "--dry-run", "--json")
    assert (dry.code, dry.json["reloaded"]) == (0, False)
    assert lbkit("reload").code == 0
    assert site.named("LAST") == "two"


def test_certificates_are_listed_and_rotated(lbkit: Run, site: Operated) -> None:
    listed = lbkit("certs")
    assert listed.code == 0
    assert "SECURED" in row(listed.out, "own")
    assert [one["state"] for one in lbkit("certs", "list", "--json").json["certificates"]] == ["in force"]
    assert lbkit("certs", "rotate").out == "nothing differs, and nothing was replaced\n"
    other = ThrowawayCA(site.folder).server
    given = site.site.certificates["own"]
    shutil.copy(other.cert_file, given.file)
    shutil.copy(other.key_file, str(given.key_file))
    assert (lbkit("certs").code, lbkit("certs", "--json").json["certificates"][0]["state"]) == (1, "differs")
    assert lbkit("certs", "rotate", "own", "--dry-run").out.startswith("would rotate own: ")
    assert lbkit("certs").code == 1
    assert lbkit("certs", "rotate", "own").code == 0
    assert lbkit("certs").code == 0


def test_doctor_sees_the_sites_haproxy(lbkit: Run) -> None:
    found = {one["name"]: one for one in lbkit("doctor", "--json").json}
    version = found["haproxy"]["found"].split()[0]
    assert found["haproxy of the site"]["state"] == "ok"
    assert found["haproxy of the site"]["found"].startswith(version)


def test_a_watch_prints_a_json_document_a_line_until_ctrl_c_which_is_0(site: Operated) -> None:
    command = [LBKIT, "overview", "LAST", "--watch", "--interval", "50ms", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert [json.loads(line)["vips"][0]["vip"] for line in lines] == ["LAST"] * 3


def on_a_terminal(*arguments: str, until: str, then: Callable[[subprocess.Popen[bytes]], None]) -> tuple[int, str]:
    """Run the command with a terminal; once it has shown `until`, `then`; its exit code, and all that it showed."""
    ours, its = pty.openpty()
    shown = ""
    with subprocess.Popen(
        [LBKIT, *arguments], stdin=its, stdout=its, stderr=its, env=os.environ | {"TERM": "xterm"}
    ) as it:
        os.close(its)
        deadline = time.monotonic() + 20
        try:
            while until not in shown and time.monotonic() < deadline:
                shown += os.read(ours, 65536).decode(errors="replace")
            then(it)
            while True:
                shown += os.read(ours, 65536).decode(errors="replace")
        except OSError:  # it has closed the terminal
            pass
        finally:
            os.close(ours)
            if it.poll() is None and time.monotonic() > deadline:
                it.kill()
        return it.wait(10), shown


def test_a_watch_on_a_terminal_is_live_until_ctrl_c(site: Operated) -> None:
    def interrupt(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)

    arguments = ("overview", "--watch", "--interval", "100ms")
    code, shown = on_a_terminal(*arguments, until="SECURED", then=interrupt)
    assert code == 0
    assert "\x1b[?1049h" in shown  # a screen of its own
    assert shown.endswith("\x1b[?25h\x1b[?1049l")  # and back, with the cursor
    assert "Ctrl-C ends" in shown


def test_a_wait_on_a_terminal_shows_what_is_left_and_ctrl_c_leaves_the_drain(site: Operated) -> None:
    with site.connect("LAST") as connection:
        assert connection.recv(64) == b"one\n"
        arguments = ("drain", "LAST", "one", "--wait")
        code, shown = on_a_terminal(*arguments, until="LAST/one: 1 open", then=lambda it: it.send_signal(signal.SIGINT))
    assert code == 130
    assert "of 10m: LAST/one: 1 open connection" in shown
    assert "what was done holds" in shown
    assert overview(site.site, ["LAST"])[0].servers[0].engine == "drain"
