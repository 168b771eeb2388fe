"""`lbkit init`, `lbkit lint` and `lbkit schema` as a user meets them."""

from __future__ import annotations

import json

import pytest
from unit.test_cli import lbkit


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_the_profile_and_says_what_to_do_next(in_folder):
    ran = lbkit("init", "ccw", "-o", "ccw.toml")
    assert ran.returncode == 0
    assert ran.stdout == "wrote ccw.toml. Change what is marked CHANGE, then: lbkit lint ccw.toml\n"
    assert (in_folder / "ccw.toml").read_text().count("[[vips]]") == 15


def test_init_leaves_a_file_that_is_there_as_it_is(in_folder):
    (in_folder / "site.toml").write_text("mine")
    for more in ((), ("--dry-run",)):
        ran = lbkit("init", *more)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert "--force" in ran.stderr
    assert (in_folder / "site.toml").read_text() == "mine"
    assert lbkit("init", "--force").returncode == 0
    assert (in_folder / "site.toml").read_text() != "mine"


def test_init_asked_first_writes_nothing(in_folder):
    ran = lbkit("init", "--dry-run", "--json")
    assert json.loads(ran.stdout) == {"profile": "ccw", "file": "site.toml", "written": False}
    assert list(in_folder.iterdir()) == []


def test_init_prints_the_profile_itself_for_a_dash(in_folder):
    assert lbkit("init", "-o", "-").stdout.count("[[vips]]") == 15
    assert list(in_folder.iterdir()) == []


def test_an_unknown_profile_is_misuse(in_folder):
    ran = lbkit("init", "nope")
    assert (ran.returncode, ran.stderr) == (3, "lbkit: no profile is called 'nope'. There are: ccw.\n")


WHOLE = """name = "x"
[[vips]]
label = "A"
address = "192.0.2.1"
ports = [80]
mode = "l7-snat"
check = { kind = "connect" }
servers = [{ label = "a", address = "192.0.2.2" }]
"""
DANGEROUS = WHOLE + 'fallback = { address = "192.0.2.3", port = 80, protocol = "http" }\n'
BROKEN = DANGEROUS.replace("l7-snat", "l9")


@pytest.mark.parametrize(
    ("text", "code", "sums"),
    [
        (WHOLE, 0, "0 errors, 0 warnings"),
        (DANGEROUS, 1, "0 errors, 1 warning"),
        (BROKEN, 2, "1 error, 0 warnings"),
    ],
)
def test_the_worst_finding_gives_lints_exit_code(in_folder, text, code, sums):
    (in_folder / "site.toml").write_text(text)
    ran = lbkit("lint")
    assert (ran.returncode, ran.stderr) == (code, f"site.toml: {sums}\n")
    assert ran.stdout.count("\n") == (code > 0)


def test_lint_names_file_line_severity_key_and_rule(in_folder):
    (in_folder / "site.toml").write_text(BROKEN)
    assert lbkit("lint", "site.toml").stdout.startswith(
        "site.toml:6: error: vips[0].mode: A: mode: it should be 'l7-snat' or"
    )


def test_lint_in_json_has_the_sums_and_each_finding(in_folder):
    (in_folder / "site.toml").write_text(DANGEROUS)
    found = json.loads(lbkit("lint", "--site", "site.toml", "--json").stdout)
    assert (found["file"], found["errors"], found["warnings"]) == ("site.toml", 0, 1)
    (finding,) = found["findings"]
    assert list(finding) == ["severity", "rule", "file", "line", "key", "message"]
    assert (finding["rule"], finding["line"], finding["key"]) == ("http-fallback", 9, "vips[0].fallback.protocol")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no site file: neither --site nor LBKIT_SITE names one"),
        (("gone.toml",), "gone.toml: this site file can't be read: No such file or directory."),
        ((".",), "is no file, but a folder"),
        (("a.toml", "--site", "b.toml"), "given twice"),
    ],
)
def test_no_file_to_lint_is_exit_3(in_folder, arguments, says):
    ran = lbkit("lint", *arguments)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert says in ran.stderr


def test_schema_is_json_with_the_parameters_of_every_check():
    found = json.loads(lbkit("schema").stdout)
    kinds = {one["title"]: one["properties"] for one in found["$defs"]["CheckReference"]["oneOf"]}
    assert {"connect", "c-echo", "https-get", "mtls"} <= kinds.keys()
    assert kinds["c-echo"]["timeout"]["type"] == "string"
    assert "aec" in kinds["c-echo"]
