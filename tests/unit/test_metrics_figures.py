"""Where the figures come from: certificates' files, HAProxy's tables, the checks that fail."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import trustme
from unit.site_text import server, site, vip
from unit.test_agent_watch import Answers, until, watching
from unit.told_figures import everything

from lbkit.agent.figures import FiguresOfAgent
from lbkit.agent.roster import asked_of
from lbkit.checks.registry import Registry
from lbkit.checks.result import Result
from lbkit.errors import CannotRun
from lbkit.metrics.expiries import expiries
from lbkit.metrics.failures import Failures
from lbkit.metrics.figures import Expiry
from lbkit.metrics.page import page
from lbkit.site.load import load_site
from lbkit.tls.certificate import read_certificates

END, SOONER = datetime(2031, 1, 1, tzinfo=UTC), datetime(2030, 6, 1, tzinfo=UTC)


def loaded(folder, **more):
    file = Path(folder, "site.toml")
    file.write_text(site(vip("V", "192.0.2.1:80", server("a", "192.0.2.11:80")), **more))
    return load_site(file, Registry().models())


# --- certificates ---


@pytest.fixture
def own(throwaway_ca):
    return throwaway_ca.issue("own", not_after=END)


def test_each_certificate_that_the_site_names_has_its_end_without_its_key_being_read(own, tmp_path):
    site = loaded(tmp_path, certificates={"own": {"file": own.cert_file, "key_file": str(tmp_path / "not-mine.key")}})
    assert expiries(site) == [Expiry("certificate", "own", END.timestamp())]


def test_of_a_pfx_too(throwaway_ca, own, tmp_path):
    (tmp_path / "password").write_text("secret\n")
    given = {"file": throwaway_ca.pfx(own, b"secret"), "password_file": str(tmp_path / "password")}
    assert expiries(loaded(tmp_path, certificates={"own": given})) == [Expiry("certificate", "own", END.timestamp())]


def test_of_a_file_with_issuers_the_first_of_them_and_no_root(tmp_path):
    root = trustme.CA()
    issuer = root.create_child_ca()
    issued = issuer.issue_cert("own", not_after=datetime(3100, 1, 1, tzinfo=UTC))
    pems = (*issued.cert_chain_pems, root.cert_pem)
    (tmp_path / "own.pem").write_bytes(b"".join(one.bytes() for one in pems))
    ends = [one.not_after.timestamp() for one in read_certificates(str(tmp_path / "own.pem"))]
    site = loaded(tmp_path, certificates={"own": {"file": str(tmp_path / "own.pem")}})
    assert len(ends) == 3
    assert ends[0] != ends[1]
    assert expiries(site) == [Expiry("certificate", "own", ends[0]), Expiry("issuer", "own", ends[1])]
    (tmp_path / "own.pem").write_bytes(pems[0].bytes() + root.cert_pem.bytes())
    assert expiries(site) == [Expiry("certificate", "own", ends[0])]


def test_of_a_family_the_first_ca_and_the_first_revocation_list_that_end(throwaway_ca, tmp_path):
    later = Path(throwaway_ca.revocation_list(next_update=END)).read_bytes()
    sooner = Path(throwaway_ca.revocation_list(next_update=SOONER)).read_bytes()
    (tmp_path / "both.crl").write_bytes(later + sooner)
    family = {"ca_file": throwaway_ca.ca_file, "crl_file": str(tmp_path / "both.crl")}
    found = {one.kind: one for one in expiries(loaded(tmp_path, ca_families={"mTLS": family}))}
    assert found.keys() == {"ca", "crl"}
    assert found["crl"] == Expiry("crl", "mTLS", SOONER.timestamp())
    assert found["ca"].when > time.time()


@pytest.mark.parametrize("content", [None, b"", b"broken"])
def test_a_file_that_can_not_be_read_takes_no_other_along(own, tmp_path, content):
    if content is not None:
        (tmp_path / "odd.pem").write_bytes(content)
    odd = {"file": str(tmp_path / "odd.pem")}
    families = {"odd": {"ca_file": odd["file"]}}
    site = loaded(tmp_path, certificates={"odd": odd, "own": {"file": own.cert_file}}, ca_families=families)
    assert [one.name for one in expiries(site)] == ["own"]


# --- HAProxy's tables ---

TABLES = b"# table: V, type: ip, size:204800, used:7\n# table: _pair, type: integer, size:10, used:1\n\n"


@pytest.fixture
def short():
    folder = Path(tempfile.mkdtemp(prefix="lb"))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def haproxy(folder, answer):
    """It answers that, once; b"": it hangs."""
    with socket.socket(socket.AF_UNIX) as listening:
        (folder / "run").mkdir()
        listening.bind(str(folder / "run/admin.sock"))
        listening.listen()
        if answer:
            Thread(target=_answer, args=(listening, answer), daemon=True).start()
        yield


def _answer(listening, answer):
    client, _ = listening.accept()
    with client:
        client.recv(100)
        client.sendall(answer)


def gathered(folder, pages=1, **more):
    """The figures of each page, and how long the longest took."""
    site = loaded(folder, haproxy={"folder": "etc", "runtime": "run"}, **more)
    full = everything(folder)

    async def look():
        """IPVS is looked at in no time."""

    async def run():
        reconciler = SimpleNamespace(site=site, look=look, intents=full.intents, took=0.5)
        watching = SimpleNamespace(roster=SimpleNamespace(places={}), failures=Failures())
        of_agent = FiguresOfAgent(lambda: full.state, watching, reconciler, lambda: full.expiries)
        found = []
        for _ in range(pages):
            begun = time.monotonic()
            found.append((await of_agent.now(), time.monotonic() - begun))
        of_agent.end()
        return [one for one, _ in found], max(took for _, took in found)

    return asyncio.run(run())


def test_the_entries_of_tables_are_those_that_haproxy_says(short, own):
    with haproxy(short, TABLES):
        (figures,), _ = gathered(short, certificates={"own": {"file": own.cert_file}})
    assert figures.entries == {"V": 7, "_pair": 1}
    assert figures.expiries == everything(short).expiries
    assert (figures.reconciled, figures.site.name, bool(figures.version)) == (0.5, "test", True)


def test_while_haproxy_hangs_pages_wait_briefly_and_come_without(short):
    with haproxy(short, b""):
        pages, longest = gathered(short, pages=2)
    assert [figures.entries for figures in pages] == [{}, {}]
    assert longest < 1.5


def test_a_haproxy_that_is_not_there_has_no_tables_and_is_nothing_for_the_log(short, caplog):
    (figures,), _ = gathered(short)
    assert figures.entries == {}
    assert caplog.text == ""


# --- checks ---


def checked(tmp_path, **of_watch):
    """The page of a place with this watch."""
    key = SimpleNamespace(check=SimpleNamespace(kind="c-echo"), target="192.0.2.11:104")
    watch = SimpleNamespace(**{"key": key, "error": "", "result": None, **of_watch})

    async def look():
        """IPVS is looked at in no time."""

    async def run():
        full = everything(tmp_path)
        reconciler = SimpleNamespace(site=loaded(tmp_path), look=look, intents={}, took=0.5)
        roster = SimpleNamespace(places={("V", "a"): SimpleNamespace(watches=(watch,))})
        watching = SimpleNamespace(roster=roster, failures=Failures())
        of_agent = FiguresOfAgent(lambda: full.state, watching, reconciler, list)
        found = await of_agent.now()
        of_agent.end()
        return "".join(page(found))

    return asyncio.run(run())


UP = Result("c-echo", "192.0.2.11:104", "up", "echo", "ok", "it answers", 0.25)


def test_of_a_check_that_could_not_be_run_there_is_no_result_of_before(tmp_path):
    named = 'vip="V",server="a",check="c-echo",target="192.0.2.11:104"'
    assert f"lbkit_check_up{{{named}}} 1\n" in checked(tmp_path, result=UP)
    text = checked(tmp_path, result=UP, error="too many open files")
    assert f'lbkit_check_not_testable{{{named},reason="cannot-run"}} 1\n' in text
    assert "lbkit_check_up{" not in text
    assert "lbkit_check_duration_seconds{" not in text


def test_of_a_check_that_has_not_run_yet_there_is_nothing(tmp_path):
    assert "lbkit_check_" not in checked(tmp_path)


def test_ports_that_are_checked_at_one_place_are_one_check(tmp_path):
    both = vip("V", "192.0.2.1:80,81", server("a", "192.0.2.11"), check={"kind": "c-echo", "port": 104})
    (tmp_path / "site.toml").write_text(site(both))
    registry = Registry()
    found = load_site(tmp_path / "site.toml", registry.models())
    assert len(asked_of(found, registry.kind, found.vips)["V", "a"].keys) == 1


def test_a_check_that_failed_says_for_what_and_one_that_could_not_be_run_that():
    answers, reasons = Answers("up", "down", CannotRun("too many open files."), "up", None), []

    async def scenario(watch):
        before = watch._heard
        watch._heard = lambda one: (reasons.append(one.failed_for), before(one))
        await until(lambda: len(answers.started) == 5)(watch)

    watching(answers, scenario)
    assert reasons == ["", "refused", "cannot-run", ""]
