"""keepalived's own word on what lbkit renders, for an interface of this machine: it reads, and nothing runs."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import pytest
from interop.remotes import program as installed
from unit.site_text import server, site, vip

from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, EngineError
from lbkit.operate.apply import apply, diff
from lbkit.pair import process, program, render
from lbkit.site.load import load_site

INTERFACE = next((name for _, name in socket.if_nameindex() if name != "lo"), "")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="keepalived tests configurations as root alone"),
    pytest.mark.skipif(not INTERFACE, reason="keepalived takes no loopback interface, and there is no other here"),
]
NODES = [
    {"name": "lb1", "address": "192.0.2.11", "interface": INTERFACE},
    {"name": "lb2", "address": "192.0.2.12", "interface": INTERFACE},
]


@pytest.fixture
def keepalived():
    return program.find(installed("keepalived", "keepalived"))


@pytest.fixture
def made(tmp_path):
    """`made(node_key=…)`: a site of this machine, both its nodes changed by the keywords."""

    def make(**of_nodes):
        pair = {
            "nodes": [{**one, **of_nodes} for one in NODES],
            "advert_interval": "200ms",
            "floating_addresses": ["fd00::4"],
        }
        settings = {
            "folder": str(tmp_path / "etc"),
            "pid_file": str(tmp_path / "keepalived.pid"),
            "runtime": str(tmp_path / "run"),
        }
        text = site(vip("V", "192.0.2.50:80", server("s", "192.0.2.21:80")), pair=pair, keepalived=settings)
        (tmp_path / "site.toml").write_text(text)
        return load_site(tmp_path / "site.toml", Registry().models())

    return make


def written(found, place: Path) -> Path:
    (file,) = render.render(found, "lb1", place.parent / "state")
    place.write_bytes(file.content)
    return place


def test_it_takes_what_is_rendered(keepalived, made, tmp_path):
    program.check(keepalived, written(made(), tmp_path / "keepalived.conf"))


def test_what_it_refuses_is_told_in_its_own_words_at_the_line_of_the_file(keepalived, made, tmp_path):
    configuration = written(made(networks={"192.0.2.50/32": "none9"}), tmp_path / "keepalived.conf")
    number = 1 + configuration.read_text().splitlines().index("        192.0.2.50/32 dev none9")
    with pytest.raises(EngineError, match=rf"line {number}: .*none9 .* doesn't exist.*Nothing was changed") as refused:
        program.check(keepalived, configuration)
    assert str(tmp_path) not in str(refused.value)
    assert str(refused.value).count("none9") == 1


def test_a_python_that_others_could_write_is_refused_with_what_to_do(keepalived, made, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/false", tmp_path / "bin" / "python")
    (tmp_path / "bin").chmod(0o777)
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(EngineError, match=r"insecure.*each folder on the way to it is root's"):
        program.check(keepalived, written(made(), tmp_path / "keepalived.conf"))


@pytest.mark.parametrize("text", ["garbage\n", "vrrp_instance V {\n    virtual_router_id 300\n}\n", "track_file f {\n"])
def test_other_texts_are_refused_too(text, keepalived, tmp_path):
    place = tmp_path / "keepalived.conf"
    place.write_text(text)
    with pytest.raises(EngineError, match=r"keepalived refuses keepalived\.conf: "):
        program.check(keepalived, place)


def test_what_it_lets_pass_is_known(keepalived, made, tmp_path):
    """If one of these fails, keepalived has become stricter: good."""
    place = written(made(), tmp_path / "keepalived.conf")
    place.write_text(
        re.sub(r"(?m)^    state BACKUP$", '    state BACKUP\n    notify "/nowhere/notify"', place.read_text())
    )
    program.check(keepalived, place)
    place.write_text("")
    program.check(keepalived, place)


def test_it_says_so_where_there_is_none(monkeypatch):
    monkeypatch.setenv(program.KEEPALIVED, "/nowhere/keepalived")
    with pytest.raises(CannotRun, match=r"/nowhere/keepalived is not on this machine.*apt install keepalived"):
        program.find()


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(keepalived, made, tmp_path):
    here = made()
    before = sorted(tmp_path.rglob("*"))
    done = apply(here, Registry().kind, "lb1", dry_run=True, engines=["keepalived"], state=tmp_path / "state")
    assert done.steps[-1] == "keepalived would be started: it does not run"
    configuration = process.configuration(here)
    assert configuration in [change.path for change in done.changes]
    assert sorted(tmp_path.rglob("*")) == before
    changes = diff(here, Registry().kind, "lb1", engines=["keepalived"], state=tmp_path / "state")
    assert [change.path for change in changes] == [change.path for change in done.changes]


def test_a_configuration_that_it_refuses_is_never_written(keepalived, made, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(EngineError, match="none9"):
        apply(made(interface="none9"), Registry().kind, "lb1", engines=["keepalived"], state=tmp_path / "state")
    assert [path.name for path in sorted(tmp_path.rglob("*")) if path not in before] == ["site.toml"]
