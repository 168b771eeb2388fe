"""Whatever stands in a site file, lint ends with findings, each with a line of the file, on one line of its own."""

import datetime
import os
import re
import tomllib

import pytest
import tomlkit
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.lint import lint
from lbkit.site import profiles
from lbkit.site.load import load_site

PROFILE = profiles.text("ccw")
SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def kinds():
    return Registry().models()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the files are that a site could name: some are secrets, one is a folder, one a pipe that nobody writes to."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "password").write_text(SECRET + "\n")
    (folder / "broken").write_text(f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    return folder


def examine(content, folder, kinds):
    """Lint it and load it; the findings, and that they are such."""
    path = folder / "site.toml"
    path.write_bytes(content)
    findings = lint(path, kinds)
    lines = content.count(b"\n") + 1
    for finding in findings:
        assert 0 <= finding.line <= lines
        assert finding.message.isprintable()
        assert finding.key.isprintable()
        assert finding.message[-1] in ".?", finding.message
        assert len(str(finding).splitlines()) == 1
        assert SECRET not in str(finding)
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)
    try:
        load_site(path, kinds)
    except Misuse:
        assert [finding for finding in findings if finding.severity == "error"]
    else:
        of_files_and_plugins = {"file-missing", "unusable", "wrong-usage", "expired", "unknown-check"}
        assert {one.rule for one in findings if one.severity == "error"} <= of_files_and_plugins
    return findings


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_of_any_bytes_there_are_findings_or_the_line_that_is_no_text(content, folder, kinds):
    try:
        content.decode()
    except UnicodeDecodeError as e:
        with pytest.raises(Misuse, match=rf"site\.toml:{content[: e.start].count(10) + 1}: this is no UTF-8"):
            examine(content, folder, kinds)
    else:
        assert examine(content, folder, kinds)


@settings(deadline=None)
@given(text=st.text(max_size=300))
def test_of_any_text_there_are_findings(text, folder, kinds):
    assert examine(text.encode(), folder, kinds)


PIECES = [
    "[",
    "]",
    "[[",
    "]]",
    "vips",
    "check",
    "kind",
    ".",
    "=",
    "{",
    "}",
    ",",
    '"',
    "'",
    '"""',
    "\\",
    "#",
    "\n",
    "\r\n",
]
PIECES += [
    " ",
    "1",
    "nan",
    "-inf",
    "true",
    "1979-05-27",
    "07:32:00Z",
    "pair",
    "name",
    "servers",
    "\0",
    "\ufeff",
    "\u2028",
]


@settings(deadline=None)
@given(text=st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_of_any_row_of_what_toml_is_made_of_there_are_findings(text, folder, kinds):
    assert examine(text.encode(), folder, kinds)


# --- TOML of any shape ----------------------------------------------------------------------------------------------

KEYS = st.one_of(
    st.sampled_from(
        ["name", "vips", "pair", "nodes", "alerts", "ca_families", "certificates", "check", "kind", "servers"]
    ),
    st.sampled_from(["label", "address", "ports", "mode", "persistence", "timeout", "file", "to", "[key]", ""]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([float("nan"), float("-inf"), 1e308]),
    st.datetimes(datetime.datetime(1000, 1, 1)),
    st.dates(datetime.date(1000, 1, 1)),
    st.times(),
    st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=20),
    st.sampled_from(
        ["5s", "192.0.2.1", "connect", "c-echo", "l7-snat", "a", "pipe", "folder", "a\nb", "x" * 5000, "\0"]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@settings(deadline=None)
@given(document=st.dictionaries(KEYS, VALUES, max_size=6))
def test_of_toml_of_any_shape_there_are_findings(document, folder, kinds):
    try:
        text = tomlkit.dumps(document)
        tomllib.loads(text)
    except (ValueError, TypeError, tomlkit.exceptions.TOMLKitError):
        assume(False)  # tomlkit writes some text wrongly
    assert examine(text.encode(), folder, kinds)


# --- the profile, changed -------------------------------------------------------------------------------------------

START, *VIPS = re.split(r"^(?=# --- VIP )", PROFILE, flags=re.MULTILINE)
LINES = "".join([START, VIPS[0], VIPS[4], VIPS[5]]).splitlines(keepends=True)  # one of a kind
STRANGE = [
    *["1", "-1", "0", "1.0", "nan", "inf", "true", '""', '"\\u0000"', '"a\\nb"', '"\\u001b[2J"', "[]", "{}", "[[[]]]"],
    *[
        "1979-05-27",
        "07:32:00",
        '"5s"',
        '"0s"',
        '"pipe"',
        '"folder"',
        '"password"',
        '"broken"',
        '"192.0.2.1"',
        '"é\\u2028"',
    ],
    *['{ kind = "connect" }', '{ kind = "c-echo", timeout = 5 }', '{ kind = "mtls", cert_file = "pipe" }', "9" * 400],
    *["9" * 5000, "[" * 90 + "]" * 90, "{a=" * 90 + "1" + "}" * 90, '"' + "x" * 5000 + '"', "[" + "0," * 100 + "]"],
]


def replaced(line, value):
    """The line with another value behind its `=`."""
    return re.sub(r"= .*", lambda _: f"= {value}", line)


@st.composite
def changed(draw):
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["delete", "duplicate", "replace", "move", "insert"])):
            case "delete":
                del lines[at]
            case "duplicate":
                lines.insert(at, lines[at])
            case "replace":
                lines[at] = replaced(lines[at], draw(st.sampled_from(STRANGE)))
            case "move":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "insert":
                lines.insert(
                    at, draw(st.sampled_from(["[a]\n", "[[vips]]\n", "[[vips.servers]]\n", '"\\n" = 1\n', "}\n"]))
                )
    return "".join(lines)


@settings(max_examples=150, deadline=None)
@given(text=changed())
@example(text=PROFILE.replace('"tls/ca-cert.pem"', '"pipe"').replace('"tls/client-cert.pem"', '"pipe"'))
@example(text=PROFILE.replace('"tls/ca-cert.pem"', '"broken"').replace('"tls/client-cert.pem"', '"broken"'))
@example(text=PROFILE.replace('"tls/ca-cert.pem"', '"password"').replace('"tls/client-cert.pem"', '"folder"'))
@example(text=PROFILE.replace("# password_file = ", "password_file = ").replace("tls/client-cert.password", "password"))
def test_of_the_profile_however_it_is_changed_there_are_findings(text, folder, kinds):
    assert examine(text.encode(), folder, kinds)


@pytest.mark.parametrize("value", STRANGE[:14], ids=lambda value: value[:20].encode("unicode_escape").decode())
def test_no_value_in_the_place_of_another_is_more_than_a_finding(value, folder, kinds):
    """Each key of the profile, one after the other."""
    for at, line in enumerate(LINES):
        if re.match(r"\w+ = ", line):
            examine("".join([*LINES[:at], replaced(line, value), *LINES[at + 1 :]]).encode(), folder, kinds)
