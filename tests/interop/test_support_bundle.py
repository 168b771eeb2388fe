"""`lbkit support-bundle` beside a real HAProxy, and beside nothing at all."""

from __future__ import annotations

import csv
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import command
import pytest
from interop.operated import Named, Operated, operated, three_vips

from lbkit.operate import tables


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    one, two = Named("one"), Named("two")
    folder = tmp_path_factory.mktemp("site")
    with operated(folder, *three_vips(one, two), servers={"one": one, "two": two}) as made:
        made.connect("SOURCE").close()
        yield made


def bundled(site: Path, state: Path, to: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = ("support-bundle", "--site", str(site), "-o", str(to), *arguments)
    return command.lbkit(*words, timeout=120, environment={"LBKIT_STATE": str(state), "LBKIT_SITE": ""})


def unpacked(file: Path) -> dict[str, str]:
    with tarfile.open(file) as tar:
        return {one.name.partition("/")[2]: tar.extractfile(one).read().decode() for one in tar}  # type: ignore[union-attr]


def test_it_has_what_a_haproxy_that_runs_says_of_itself(running: Operated, tmp_path: Path) -> None:
    ran = bundled(running.file, running.state, tmp_path / "b.tar.gz", "--json")
    assert ran.stderr == ""
    said = {one["name"]: one["error"] for one in json.loads(ran.stdout)["parts"]}
    assert not any(error for name, error in said.items() if name.startswith("haproxy/"))
    assert ran.returncode == (1 if any(said.values()) else 0)
    found = unpacked(tmp_path / "b.tar.gz")
    assert found["haproxy/haproxy.cfg"] == running.haproxy.configuration.read_text()
    assert f"Pid: {running.haproxy.runtime.info()['Pid']}\n" in found["haproxy/info.txt"]
    rows = csv.DictReader(found["haproxy/statistics.csv"].removeprefix("# ").splitlines())
    assert {one.label for one in running.site.vips} <= {row["pxname"] for row in rows}
    assert " one 127.0.0.1 " in found["haproxy/servers.txt"]
    assert [one["vip"] for one in json.loads(found["overview.json"])] == ["LAST", "SOURCE", "NONE"]
    assert json.loads(found["lint.json"]) is not None


def test_tables_are_counted_and_no_client_is_in_it(running: Operated, tmp_path: Path) -> None:
    with running.connect("SOURCE", "127.9.9.9") as connection:
        assert connection.recv(10)
        tables.clear(running.site, "SOURCE", key="127.9.9.9", state=running.state)
        bundled(running.file, running.state, tmp_path / "b.tar.gz")
    found = unpacked(tmp_path / "b.tar.gz")
    heads = [line for line in found["haproxy/tables.txt"].splitlines() if line]
    assert any(line.startswith("# table: SOURCE, type: ip") for line in heads)
    assert all(line.startswith("# table: ") for line in heads)
    assert "table-cleared" in found["events.jsonl"]
    assert [name for name, text in found.items() if "127.9.9.9" in text] == []


def test_without_haproxy_agent_and_with_a_broken_site_there_is_one_and_it_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('name = "x"\n[haproxy]\nruntime = "run"\n[[vips]]\n')
    ran = bundled(tmp_path / "site.toml", tmp_path / "state", tmp_path / "b.tar.gz")
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"wrote {tmp_path}/b.tar.gz: ")
    assert "not in it: haproxy/info.txt: nobody answers at " in ran.stderr
    assert "not in it: overview.json: " in ran.stderr
    found = unpacked(tmp_path / "b.tar.gz")
    assert any(one["severity"] == "error" for one in json.loads(found["lint.json"]))


def test_misuse_is_exit_3_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").write_text("mine")
    for arguments, says in (
        ([], "is there already"),
        (["--force", "--since", "soon"], "--since: 'soon' is no duration"),
    ):
        ran = bundled(tmp_path / "site.toml", tmp_path, tmp_path / "b.tar.gz", *arguments)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert says in ran.stderr
    assert (tmp_path / "b.tar.gz").read_text() == "mine"
