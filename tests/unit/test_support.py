"""Support bundles: what is in one, and that one is made whatever is broken."""

from __future__ import annotations

import json
import os
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from unit.secret_site import SecretSite

from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, Misuse
from lbkit.operate import support, support_parts
from lbkit.operate.support import Gathered, support_bundle
from lbkit.operate.support_parts import Part
from lbkit.state.events import Event
from lbkit.state.intents import Intent, Intents
from lbkit.state.log import record
from lbkit.testing import ThrowawayCA


@pytest.fixture
def here(tmp_path: Path, throwaway_ca: ThrowawayCA, monkeypatch: pytest.MonkeyPatch) -> SecretSite:
    monkeypatch.setenv("LBKIT_NODE", "lb1")
    monkeypatch.delenv("LBKIT_HAPROXY", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return SecretSite(tmp_path, throwaway_ca)


def test_it_has_what_is_asked_for_and_what_it_lacks_says_why(here: SecretSite) -> None:
    Intents(here.state).record(Intent("WEB", "s1", "drain", when=time.time()))
    made = here.bundled()
    found = here.unpacked()
    lacking = {one.name for one in made.failed}
    assert lacking == {
        "agent.json", "overview.json", "haproxy/info.txt", "haproxy/statistics.csv", "haproxy/servers.txt",
        "haproxy/tables.txt",
    }  # fmt: skip
    assert {f"{name}.error" for name in lacking} <= found.keys()
    assert not lacking & found.keys()
    assert found["agent.json.error"].startswith("no agent answers at ")
    assert all(f"{one.name}: {one.error}" in found["README.txt"] for one in made.failed)
    assert [one["vip"] for one in json.loads(found["intents.json"])] == ["WEB"]
    assert json.loads(found["lint.json"])
    assert json.loads(found["applied.json"])["generation"] == 0
    assert json.loads(found["pair-status.json"])["here"] == "lb1"
    assert "lbkit-core" in json.loads(found["versions.json"])["packages"]
    assert 'password_file = "mail"' in found["site.toml"]
    manifest = json.loads(found["manifest.json"])
    assert {one["name"]: one["error"] for one in manifest["parts"]} == {one.name: one.error for one in made.parts}


def test_of_certificates_it_has_what_everybody_may_know(here: SecretSite) -> None:
    here.bundled()
    found = json.loads(here.unpacked()["certificates.json"])
    assert list(found) == ["web", "pfx", "CA ours"]
    assert all(len(one["certificates"][0]["sha256"]) == 64 for one in found.values())
    assert found["pfx"]["certificates"][0]["names"] == ["client.lbkit.test"]


def test_events_are_those_of_the_time_that_is_asked_for(here: SecretSite) -> None:
    record(Event("test", "long ago", when=time.time() - 7200), Event("test", "just now"), state=here.state)
    here.bundled()
    texts = [json.loads(line)["text"] for line in here.unpacked()["events.jsonl"].splitlines()]
    assert texts[-1] == "just now"
    assert "long ago" not in texts


def test_only_its_owner_may_read_it(here: SecretSite) -> None:
    here.bundled()
    assert here.to.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_stays_unless_force_is_given(here: SecretSite) -> None:
    here.to.write_text("mine")
    with pytest.raises(Misuse, match="is there already, and stays as it is"):
        here.bundled()
    assert here.to.read_text() == "mine"
    here.bundled(force=True)
    assert "README.txt" in here.unpacked()


def test_what_is_no_file_is_never_replaced(here: SecretSite) -> None:
    os.mkfifo(here.to)
    with pytest.raises(Misuse, match="is no file, and stays as it is"):
        here.bundled(force=True)
    assert here.to.is_fifo()


@pytest.mark.parametrize("name", ["...tar.gz", "ticket"])
def test_all_of_it_is_below_one_folder_that_is_not_called_as_the_file_is(here: SecretSite, name: str) -> None:
    made = support_bundle(here.file, here.folder / name, 0, Registry(), here.state)
    with tarfile.open(made.file) as tar:
        (folder,) = {one.partition("/")[0] for one in tar.getnames()}
    assert folder.startswith(f"lbkit-support-{os.uname().nodename}-")


def test_a_place_that_can_t_be_written_is_said_before_anything_is_gathered(here: SecretSite) -> None:
    asked: list[str] = []
    with pytest.raises(CannotRun, match=r"no-such can't be|is no folder that you may write to"):
        support_bundle(
            here.file, here.folder / "no-such" / "b.tar.gz", 0, Registry(), here.state, progress=asked.append
        )
    assert asked == []


@pytest.mark.parametrize("text", ["= [", 'name = "x"\n', None])
def test_there_is_one_of_a_site_that_is_broken_or_not_there(here: SecretSite, text: str | None) -> None:
    here.file.unlink()
    if text is not None:
        here.file.write_text(text)
    here.bundled()
    found = here.unpacked()
    assert ("site.toml" in found) is (text is not None)
    assert ("lint.json" in found) is (text is not None)
    assert "can't be used as it is: see lint.json" in found["overview.json.error"]
    assert "versions.json" in found


def test_with_errors_in_the_site_what_is_right_of_it_is_gone_by(here: SecretSite) -> None:
    here.file.write_text(here.text + '\n[metrics]\nport = "none"\n')
    here.bundled()
    found = here.unpacked()
    assert found["haproxy/haproxy.cfg"] == "so\n"
    assert found["snmpd.conf"] == "so\n"


class Parts:
    """In place of those that there are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here: SecretSite, **given: Any) -> None:
        monkeypatch.setattr(support, "parts", lambda node, since: [Part(name, one) for name, one in given.items()])
        monkeypatch.setattr(support, "WITHIN", 0.3)
        self.here = here

    def gathered(self) -> tuple[dict[str, Gathered], dict[str, str]]:
        made = self.here.bundled()
        return {one.name: one for one in made.parts}, self.here.unpacked()


def test_a_part_that_hangs_or_breaks_costs_no_other(here: SecretSite, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = threading.Event()

    def breaks() -> str:
        raise RuntimeError(here.passwords["mail"])

    made, found = Parts(
        monkeypatch, here, hangs=lambda: str(ends.wait(30)), breaks=breaks, works=lambda: "so"
    ).gathered()
    ends.set()
    assert made["hangs"].error == "not gathered within 0.3 s: something that it asks hangs."
    assert made["breaks"].error == "a fault of lbkit: RuntimeError: [REMOVED: alerts.password_file]"
    assert (found["works"], made["works"]) == ("so", Gathered("works", 2))


@pytest.mark.parametrize("before", [0, 1, 5, 40])
def test_a_part_that_is_too_large_is_cut_and_no_half_of_a_secret_is_left_at_its_end(
    here: SecretSite, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(support, "LIMIT", 1000)
    line = "x" * 99 + "\n"
    large = (line * 9 + "y" * (99 - before) + here.passwords["mail"] * 3 + "\n" + line * 9).encode()
    made, found = Parts(monkeypatch, here, large=lambda: large).gathered()
    assert made["large"].cut
    assert found["large"] == line * 9


def test_each_part_is_told_before_it_is_gathered(here: SecretSite) -> None:
    asked: list[str] = []
    made = here.bundled(progress=asked.append)
    assert asked == [one.name for one in made.parts]


def test_secrets_that_could_not_be_read_are_said(here: SecretSite) -> None:
    (here.folder / "mail").write_text("x" * (2 << 20))
    made = here.bundled()
    assert made.unread == (f"alerts.password_file: {here.folder}/mail is larger than a secret can be.",)
    assert made.unread[0] in here.unpacked()["README.txt"]


def test_neighbours_that_the_site_does_not_name_are_counted_alone(here: SecretSite) -> None:
    lines = [
        f"{one} dev eth0 lladdr 02:00:00:00:00:01 REACHABLE" for one in ("192.0.2.2", "198.51.100.9", "192.0.2.254")
    ]
    neighbours = "\n".join(lines)
    here.program("ip", f"[ $1 = route ] && exec echo default via 192.0.2.254\ncat <<end\n{neighbours}\nend")
    here.bundled()
    assert here.unpacked()["network/neighbours.txt"].splitlines() == [
        lines[0], lines[2], "and 1 that the site does not name",
    ]  # fmt: skip


def test_the_journal_is_asked_for_the_time_and_for_no_connection_of_haproxy(here: SecretSite) -> None:
    here.program("journalctl", 'echo "$@"')
    here.bundled()
    found = here.unpacked()
    for name in ("lbkit", "haproxy", "haproxy-stderr", "keepalived", "snmpd"):
        asked = found[f"journal/{name}.txt"].split()
        since = next(one for one in asked if one.startswith("--since=@"))
        assert abs(float(since.removeprefix("--since=@")) - (time.time() - 3600)) < 30
    assert "--priority=notice" in found["journal/haproxy.txt"]
    assert "_TRANSPORT=stdout" in found["journal/haproxy-stderr.txt"]


def test_of_logs_that_are_too_large_the_newest_are_in_it(here: SecretSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support_parts, "LIMIT", 20_000)
    here.program(
        "journalctl", "for one; do case $one in --lines=*) seq $((40001 - ${one#--lines=})) 40000;; esac; done"
    )
    for number in range(50):
        record(Event("test", f"{number} " + "x" * 1500), state=here.state)
    here.bundled()
    found = here.unpacked()
    journal, events = found["journal/lbkit.txt"].splitlines(), found["events.jsonl"].splitlines()
    assert journal == [str(number) for number in range(40_001 - len(journal), 40_001)]
    assert json.loads(events[-1])["text"].startswith("49 ")
    assert all(5_000 < len(found[name]) <= 20_000 for name in ("journal/lbkit.txt", "events.jsonl"))


def test_sets_of_the_packet_filter_which_hold_clients_are_left_out(here: SecretSite) -> None:
    here.program("nft", 'echo "$@"')
    here.bundled()
    assert here.unpacked()["network/nftables.txt"] == "--terse list ruleset\n"


def test_what_may_tell_of_patients_is_not_asked_for() -> None:
    text = Path(support_parts.__file__).read_text()
    asked = [one for one in ("show errors", "show sess", "show table ", "ip_vs_conn") if f'"{one}' in text]
    assert asked == []
