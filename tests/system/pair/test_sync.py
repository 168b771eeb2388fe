"""`lbkit pair sync` between two nodes, over a real sshd: what it brings, what it refuses, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from interop.agents import eventually
from system.pair.cluster import SITE, Cluster
from system.pair.nodes import Node

STATE = "/var/lib/lbkit"
_intervals = iter(range(310, 1000))


@pytest.fixture
def lb1(pair: Cluster) -> Node:
    """With a site that both nodes have in force, whatever a test did."""
    found = pair.lb1.file(SITE).read_text()
    if found.replace(_now(found), _now(pair.site)) != pair.site or generation(pair.lb1) != generation(pair.lb2):
        pair.lb1.file(SITE).write_text(pair.site)
        pair.lb1.run("lbkit apply")
        pair.lb1.run("lbkit pair sync --force")
    return pair.lb1


def changed(node: Node, **also: str) -> str:
    """The site of a node is another one now, and applied there; it returns what is to be found in haproxy.cfg."""
    interval = f"{next(_intervals)}ms"
    text = node.file(SITE).read_text()
    for old, new in {_now(text): f'interval = "{interval}"', **also}.items():
        assert old in text
        text = text.replace(old, new)
    node.file(SITE).write_text(text)
    node.run("lbkit apply")
    return f"inter {interval}"


def _now(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("interval = "))


def has(node: Node, line: str) -> bool:
    return line in node.file("/etc/haproxy/haproxy.cfg").read_text()


def generation(node: Node) -> tuple[int, str]:
    found = json.loads(node.file(f"{STATE}/applied.json").read_text())
    return found["generation"], found["digest"]


def everything(node: Node) -> dict[str, bytes]:
    """What `sync` could change there; not what the agent writes down."""
    found = {}
    for name in ("/etc/lbkit", "/etc/haproxy", "/etc/keepalived", STATE):
        for folder, folders, files in os.walk(node.file(name)):
            folders[:] = [one for one in folders if one != "events"]
            for path in (Path(folder, one) for one in files if not one.endswith((".lock", "seen.json"))):
                with suppress(FileNotFoundError):  # it is just going
                    found[str(path)] = path.read_bytes()
    return found


def test_the_other_node_has_the_site_in_force_after_a_dry_run_has_shown_it(pair: Cluster, lb1: Node) -> None:
    line, master, pids = changed(lb1), pair.master, pair.lb2.pids("keepalived")
    pair.lb2.file("/etc/resolv.conf").write_text("nameserver 192.0.2.53\n")
    lb1.file("/etc/resolv.conf").write_text("nameserver 192.0.2.54\n")
    before = everything(pair.lb2)
    ran = lb1.run("lbkit pair sync --dry-run")
    assert "+interval = " in ran.stdout
    assert "eth0 192.0.2.12/24" in ran.stdout
    assert "warning: DNS differs: 192.0.2.54 here, 192.0.2.53 on lb2" in ran.stderr
    assert everything(pair.lb2) == before
    ran = lb1.run("lbkit pair sync")
    assert has(pair.lb2, line)
    assert "lb2: HAProxy reloaded" in ran.stdout
    assert pair.lb2.file(SITE).read_bytes() == lb1.file(SITE).read_bytes()
    assert generation(pair.lb2) == generation(lb1)
    assert (pair.master, pair.lb2.pids("keepalived")) == (master, pids)


def test_what_the_other_node_cannot_run_is_refused_and_changes_nothing(pair: Cluster, lb1: Node) -> None:
    for name, line in (("passwd", "proxy-of-lb1:x:4711:4711::/:/bin/false\n"), ("group", "proxy-of-lb1:x:4711:\n")):
        with lb1.file(f"/etc/{name}").open("a") as file:
            file.write(line)
    changed(lb1, **{"[pair]": '[haproxy]\nuser = "proxy-of-lb1"\n\n[pair]'})
    before, pids = everything(pair.lb2), pair.lb2.pids("haproxy")
    ran = lb1.run("lbkit pair sync", check=False)
    assert ran.returncode in (2, 3)
    assert "node lb2: " in ran.stderr
    assert "proxy-of-lb1" in ran.stderr
    assert (everything(pair.lb2), pair.lb2.pids("haproxy")) == (before, pids)
    changed(lb1, **{'[haproxy]\nuser = "proxy-of-lb1"\n\n': ""})


def test_a_full_disk_there_changes_nothing(pair: Cluster, lb1: Node) -> None:
    pair.lb2.file("/etc/lbkit/pages").mkdir()
    pair.lb2.run("mount -t tmpfs -o size=4k tmpfs /etc/lbkit/pages")
    lb1.file("/etc/lbkit/pages").mkdir()
    lb1.file("/etc/lbkit/pages/later.html").write_text("later " * 2000)
    line = changed(lb1, **{"[pair]": '[fallback_page]\nfile = "pages/later.html"\n\n[pair]'})
    before = everything(pair.lb2)
    ran = lb1.run("lbkit pair sync", check=False)
    assert ran.returncode == 2
    assert "No space left on device" in ran.stderr
    assert "Rolled back" in ran.stderr
    assert everything(pair.lb2) == before
    pair.lb2.run("umount /etc/lbkit/pages")
    put_aside = f"cp -a {STATE} /run/s; rm -r /run/s/events; mount -t tmpfs -o size=24k tmpfs {STATE}"
    pair.lb2.run(["sh", "-c", f"{put_aside}; cp -a /run/s/. {STATE}"])
    pair.lb2.run(f"sh -c 'head -c 100000 /dev/zero >{STATE}/filler'", check=False)
    ran = lb1.run("lbkit pair sync", check=False)
    assert ran.returncode in (2, 3)
    assert "No space left on device" in ran.stderr
    pair.lb2.run(f"umount {STATE}")
    assert everything(pair.lb2) == before
    lb1.run("lbkit pair sync")
    assert has(pair.lb2, line)
    changed(lb1, **{'[fallback_page]\nfile = "pages/later.html"\n\n': ""})
    lb1.run("lbkit pair sync")
    assert not pair.lb2.file("/etc/lbkit/pages/later.html").exists()


def begun(node: Node, until: Callable[[], bool]) -> subprocess.Popen[bytes]:
    """A sync that has come so far."""
    process = node.popen("lbkit pair sync", "sync")
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
    return process


def cut(node: Node) -> None:
    """All ssh sessions die; sshd itself listens on."""
    for pid in node.pids("sshd"):
        with suppress(OSError):
            if b"[listener]" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def test_ssh_that_is_killed_while_the_site_is_tried_leaves_all_as_it_was(pair: Cluster, lb1: Node) -> None:
    line = changed(lb1)
    before = everything(pair.lb2)
    process = begun(lb1, pair.lb2.file(f"{STATE}/rehearsal").exists)
    cut(pair.lb2)
    assert process.wait(60) == 2
    eventually(lambda: everything(pair.lb2) == before)
    lb1.run("lbkit pair sync")
    assert has(pair.lb2, line)
    assert generation(pair.lb2) == generation(lb1)


def test_ssh_that_is_killed_while_the_site_comes_into_force_leaves_no_half(pair: Cluster, lb1: Node) -> None:
    line, old = changed(lb1), pair.lb2.file(SITE).read_bytes()
    process = begun(lb1, lambda: pair.lb2.file(SITE).read_bytes() != old)
    cut(pair.lb2)
    process.wait(60)
    eventually(lambda: has(pair.lb2, line) and generation(pair.lb2) == generation(lb1))
    assert "nothing differs" in lb1.run("lbkit pair sync").stdout


def test_sites_that_were_changed_on_both_nodes_are_refused_until_one_is_forced(pair: Cluster, lb1: Node) -> None:
    ours, theirs = changed(lb1), changed(pair.lb2)
    for node in (lb1, pair.lb2):
        ran = node.run("lbkit pair sync", check=False)
        assert ran.returncode == 4
        assert "both nodes' sites were changed" in ran.stderr
    assert has(lb1, ours)
    assert has(pair.lb2, theirs)
    assert _now(lb1.file(SITE).read_text()) in lb1.run("lbkit pair sync --dry-run --force").stdout
    assert has(pair.lb2, theirs)
    lb1.run("lbkit pair sync --force")
    assert has(pair.lb2, ours)
    assert generation(pair.lb2) == generation(lb1)


def test_a_node_that_returns_does_not_overwrite_a_newer_site(pair: Cluster, lb1: Node) -> None:
    pair.crash(lb1)
    eventually(lambda: pair.masters() == [pair.lb2] or lb1 in pair.masters(), 20)
    line = changed(pair.lb2)
    ran = pair.lb2.run("lbkit pair sync", check=False)
    assert ran.returncode == 2
    assert "lb1" in ran.stderr
    pair.boot(lb1)
    refused = lb1.run("lbkit pair sync", check=False)
    assert refused.returncode == 4
    assert "this node's site is newer" in refused.stderr
    pair.lb2.run("lbkit pair sync")
    assert has(lb1, line)


def test_a_node_with_another_lbkit_is_refused(pair: Cluster, lb1: Node) -> None:
    """The standby was upgraded first. Its metadata says so: the rest of it is this lbkit."""
    found = pair.lb2.file("/run/upgraded/lbkit_core-99.1.dist-info")
    found.mkdir(parents=True)
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: lbkit-core\nVersion: 99.1\n")
    keys = pair.lb2.file("/root/.ssh/authorized_keys")
    before = keys.read_text()
    keys.write_text(before.replace('command="', 'command="env PYTHONPATH=/run/upgraded '))
    line = changed(lb1)
    ran = lb1.run("lbkit pair sync", check=False)
    assert ran.returncode == 3
    assert "here is lbkit 99.1" in ran.stderr
    assert not has(pair.lb2, line)
    keys.write_text(before)


def test_the_master_leaves_and_comes_back(pair: Cluster, lb1: Node) -> None:
    master = pair.master
    peer = pair.lan.other(master)
    eventually(lambda: master.run("lbkit pair leave --dry-run", check=False).returncode == 0)
    master.run("lbkit pair leave")
    assert not master.pids("keepalived")
    assert pair.master is peer
    assert json.loads(peer.file(f"{STATE}/left.json").read_text())["node"] == master.name
    refused = peer.run("lbkit pair leave", check=False)
    assert refused.returncode == 4
    assert "the VIPs would go down" in refused.stderr
    master.run("lbkit apply")
    master.run("lbkit pair maintenance off")
    assert master.pids("keepalived")
    assert pair.settled() is peer


def test_a_new_machine_takes_the_place_of_one_that_is_gone(pair: Cluster, lb1: Node) -> None:
    changed(lb1)
    lb2 = pair.lb2
    keys = lb1.file("/root/.ssh/authorized_keys")
    keys.write_text(keys.read_text().replace(" lbkit\n", " lbkit-lb2\n"))  # as `lbkit pair setup` writes it
    refused = lb1.run("lbkit pair replace-node", check=False)
    assert refused.returncode == 4
    pair.crash(lb2)
    eventually(lambda: pair.masters() == [lb1] or lb2 in pair.masters(), 20)
    todo = json.loads(lb1.run("lbkit pair replace-node --json").stdout)
    assert not keys.read_text()
    # another machine: nothing of the old one is on its disk
    lb2.run(
        f"sh -c 'rm -rf /etc/lbkit/* /etc/haproxy/* /etc/keepalived/* /etc/keepalived/.lbk* {STATE}/* /root/.ssh/*'"
    )
    lb2.run("sh -c 'rm -rf /etc/haproxy/.lbk* /run/haproxy/* /run/lbkit/* /run/*.pid /run/*.sock /etc/ssh/ssh_host*'")
    lb2.run("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key")
    pair.take_off(lb2)
    pair.lan.plug(lb2.name)
    pair.start_sshd(lb2)
    line = (
        lb2.run(["lbkit", "pair", "setup", "--node", "lb2", "--peer", todo["invitation"]])
        .stdout.strip()
        .splitlines()[-1]
    )
    lb1.run(["lbkit", "pair", "setup", "--peer", line])
    lb1.run("lbkit pair sync")
    assert generation(lb2) == generation(lb1)
    assert lb2.pids("keepalived")
    pair.start_node(lb2)  # the agent
    assert pair.settled() in pair.lan.nodes
    assert not lb1.file(f"{STATE}/left.json").exists()
