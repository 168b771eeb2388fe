"""Reading a site file: all errors at once, paths seen from its folder, and files that can't be read at all."""

import json
import os

import pytest

from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.lint import lint
from lbkit.site import profiles
from lbkit.site.findings import Finding, SiteInvalid
from lbkit.site.found import PLACES, site_file
from lbkit.site.load import LARGEST, load_site, read

SITE = """\
name = "S"

[[vips]]
label = "A"
address = "192.0.2.1"
ports = [443]
mode = "l7-snat"
check = { kind = "connect" }
servers = [{ label = "a1", address = "192.0.2.11" }]
"""

# one error of each sort, each in a table of its own
MANY = """\
name = "S"
zzz = 1

[ca_families.ours]
ca_file = "none.pem"

[certificates.own]
file = 1

[certificates.other]
file = "none.pem"

[pair]
nodes = [{ name = "lb1", address = "192.0.2.2" }, { name = "lb1", address = "192.0.2.3" }]

[[vips]]
label = "A"
address = "192.0.2.1"
ports = [443, 0]
mode = "l7-snat"
check = { kind = "connect", aet = 1 }
servers = []

[[vips]]
label = "B"
address = "192.0.2.1"
ports = [443, 443]
mode = "l4-dr"
protocol = "http"
check = { kind = "c-echo", busy = "maybe" }
servers = [{ label = "b1", address = "192.0.2.11", port = 104, verify = "theirs" }]

[[vips]]
label = "C"
address = "192.0.2.1"
ports = [443]
mode = "l7-snat"
check = { kind = "c-ekko" }
servers = [{ label = "c1", address = "192.0.2.11" }]
"""


@pytest.fixture(scope="module")
def kinds():
    return Registry().models()


@pytest.fixture
def file(tmp_path):
    """`file(text)`: a site file with it; bytes are written as they are."""

    def file(text):
        path = tmp_path / "site.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


def brief(findings):
    return [(one.line, one.severity, one.rule, one.key) for one in findings]


def test_errors_of_all_sorts_are_said_at_once(file, kinds):
    assert brief(lint(file(MANY), kinds)) == [
        (2, "error", "unknown-key", "zzz"),
        (5, "error", "file-missing", "ca_families.ours.ca_file"),
        (8, "error", "value", "certificates.own.file"),
        (11, "error", "file-missing", "certificates.other.file"),
        (14, "error", "contradiction", "pair.nodes[1].name"),
        (19, "error", "value", "vips[0].ports[1]"),
        (22, "error", "value", "vips[0].servers"),
        (27, "error", "overlapping-ports", "vips[1].ports"),
        (29, "error", "layer-7-only", "vips[1].protocol"),
        (30, "error", "value", "vips[1].check.busy"),
        (31, "warning", "port-translation", "vips[1].servers[0].port"),
        (31, "error", "contradiction", "vips[1].servers[0].verify"),
        (31, "error", "unknown-name", "vips[1].servers[0].verify"),
        (35, "warning", "shared-address", "vips[2].address"),
        (36, "error", "overlapping-ports", "vips[2].ports"),
        (38, "error", "unknown-check", "vips[2].check.kind"),
    ]


def test_a_site_with_errors_is_not_loaded_and_says_all_of_them(file, kinds):
    path = file(MANY)
    with pytest.raises(SiteInvalid) as e:
        load_site(path, kinds)
    of_files_and_plugins = {"file-missing", "unknown-check"}  # those are for lint alone, as are warnings
    expected = [f for f in lint(path, kinds) if f.severity == "error" and f.rule not in of_files_and_plugins]
    assert list(e.value.findings) == expected
    assert str(e.value).splitlines() == [str(finding) for finding in expected]
    assert str(expected[0]) == (
        f"{path}:2: error: zzz: there is no key zzz. Take it out, or look it up in `lbkit schema`. (unknown-key)"
    )


@pytest.mark.parametrize(
    "text",
    [SITE.replace("443", "443, 443"), SITE.replace('"connect"', '"connect", port = 0')],
    ids=["rule", "parameter"],
)
def test_a_site_whose_tables_are_right_by_themselves_is_not_loaded_with_an_error(text, file, kinds):
    with pytest.raises(SiteInvalid):
        load_site(file(text), kinds)


def test_a_site_with_warnings_or_a_strange_check_is_loaded(file, kinds):
    site = load_site(
        file(SITE.replace("connect", "c-ekko") + 'fallback = { address = "192.0.2.5", port = 80 }\n'), kinds
    )
    assert site.vips[0].check.kind == "c-ekko"


def test_parameters_of_a_check_are_left_alone_where_its_kind_is_not_known(file):
    site = load_site(file(SITE.replace('"connect"', '"connect", timeout = 5, zzz = [1]')), {})
    assert site.vips[0].check.params == {"timeout": 5, "zzz": [1]}


@pytest.mark.parametrize("name", ["params", "model_config", "model_extra", "model_fields", "__class__", "copy", "self"])
def test_a_key_of_a_check_that_is_called_as_something_in_python_is_like_any_other(name, file, kinds):
    path = file(SITE.replace('"connect"', f'"connect", {name} = 1'))
    assert brief(lint(path, kinds)) == [(8, "error", "unknown-key", f"vips[0].check.{name}")]
    assert load_site(path, {}).vips[0].check.params == {name: 1}


def test_the_kind_of_check_is_told_what_re_encrypt_says(file, kinds):
    """A check of a server that the engine speaks TLS to speaks it too, so a name for it is no contradiction."""
    within = SITE.replace('"connect"', '"connect", server_name = "a1"')
    assert brief(lint(file(within), kinds)) == [(8, "error", "value", "vips[0].check")]
    encrypted = within.replace('.11"', '.11", re_encrypt = true')
    assert brief(lint(file(encrypted), kinds)) == [(9, "warning", "not-verified", "vips[0].servers[0].re_encrypt")]


def test_a_finding_is_an_object_of_stable_keys(file, kinds):
    finding = lint(file("zzz = 1\n" + SITE), kinds)[0]
    assert json.loads(json.dumps(finding.as_dict())) == {
        "severity": "error",
        "rule": "unknown-key",
        "file": finding.file,
        "line": 1,
        "key": "zzz",
        "message": "there is no key zzz. Take it out, or look it up in `lbkit schema`.",
    }
    assert Finding(**finding.as_dict()) == finding


# --- paths ----------------------------------------------------------------------------------------------------------


def test_relative_paths_are_seen_from_the_folder_of_the_site_file(tmp_path, kinds, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "site.toml").write_text(
        SITE.replace('"connect"', '"connect", tls = true, ca_file = "tls/ca.pem", cert_file = "/abs/cert.pem"')
        + '[ca_families.ours]\nca_file = "tls/ca.pem"\ncrl_file = "../ca.crl"\n'
        + '[certificates.own]\nfile = "/abs/own.pem"\n'
    )
    monkeypatch.chdir(tmp_path)
    for given in ("etc/site.toml", tmp_path / "etc" / "site.toml"):
        site = load_site(given, kinds)
        assert site.ca_families["ours"].ca_file == str(tmp_path / "etc/tls/ca.pem")
        assert site.ca_families["ours"].crl_file == str(tmp_path / "etc/../ca.crl")
        assert site.certificates["own"].file == "/abs/own.pem"
        assert site.vips[0].check.params["ca_file"] == str(tmp_path / "etc/tls/ca.pem")
        assert site.vips[0].check.params["cert_file"] == "/abs/cert.pem"


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [SITE.replace("\n", "\r\n"), "\ufeff" + SITE, "\ufeff" + SITE.replace("\n", "\r\n")],
    ids=["windows", "mark", "both"],
)
def test_a_file_as_editors_on_windows_save_it_is_the_same_site(text, file, kinds):
    plain = load_site(file(SITE), kinds)
    assert load_site(file(text), kinds) == plain


def test_lines_are_counted_alike_in_a_file_from_windows(file, kinds):
    plain = lint(file(MANY), kinds)
    assert lint(file("\ufeff" + MANY.replace("\n", "\r\n")), kinds) == plain


def test_of_text_that_is_no_utf_8_the_line_is_said(file, kinds):
    path = file(SITE.replace("S", "Klinik").encode() + "# für\n# über\n".encode("latin-1"))
    with pytest.raises(Misuse, match=rf"^{path}:10: this is no UTF-8\. Save the file as UTF-8\.$"):
        lint(path, kinds)
    with pytest.raises(Misuse, match=r":1: this is no UTF-8"):
        lint(file(SITE.encode("utf-16")), kinds)


def test_a_file_that_is_too_large_is_no_site_file(file, kinds):
    fits = SITE.encode().ljust(LARGEST, b"\n")
    assert load_site(file(fits), kinds).name == "S"
    with pytest.raises(Misuse, match="this is no site file: it has more than 4 MiB"):
        load_site(file(fits + b"\n"), kinds)


def test_an_empty_file_lacks_what_a_site_needs(file, kinds):
    assert brief(lint(file(""), kinds)) == [(0, "error", "missing", "name"), (0, "error", "missing", "vips")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "9" * 5000, "this is no TOML: Exceeds the limit"),
        ("a = " + "[" * 20000, "this is no TOML: it is nested too deeply."),
        ("a = 2024-02-30", "this is no TOML: Invalid date or datetime."),
        ("a = '\0'", "this is no TOML: "),
    ],
    ids=["digits", "depth", "date", "nul"],
)
def test_what_the_toml_reader_refuses_is_one_finding(text, said, file, kinds):
    (finding,) = lint(file(text), kinds)
    assert finding.rule == "syntax"
    assert finding.message.startswith(said)


@pytest.mark.parametrize("name", ["none.toml", "none/site.toml", "x" * 300, "a\0b"])
def test_a_path_that_leads_nowhere_is_a_misuse(name, tmp_path, kinds):
    with pytest.raises(Misuse, match=r"this site file can't be read: .*\. Name another with --site\.$"):
        read(tmp_path / name, kinds)


def test_a_folder_or_pipe_is_no_site_file_and_is_not_waited_for(tmp_path, kinds):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(Misuse, match="this is no file, but a folder, pipe or device"):
            lint(path, kinds)


# --- which file is meant --------------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The places where a site file could be, all of them empty: here, and in /etc."""
    here, etc = tmp_path / "here", tmp_path / "etc"
    here.mkdir()
    etc.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("LBKIT_SITE", raising=False)
    monkeypatch.setattr("lbkit.site.found.PLACES", (PLACES[0], etc / "site.toml"))
    return here / "site.toml", etc / "site.toml"


def test_a_site_file_is_looked_for_here_and_then_in_etc():
    assert [str(place) for place in PLACES] == ["site.toml", "/etc/lbkit/site.toml"]


def test_the_file_that_is_named_goes_before_the_variable_before_here_before_etc(places, monkeypatch):
    here, etc = places
    etc.touch()
    assert site_file() == etc
    here.touch()
    assert site_file().resolve() == here
    monkeypatch.setenv("LBKIT_SITE", "by-variable.toml")
    assert str(site_file()) == "by-variable.toml"
    assert str(site_file("given.toml")) == "given.toml"


def test_an_empty_variable_names_no_file(places, monkeypatch):
    monkeypatch.setenv("LBKIT_SITE", "")
    places[0].touch()
    assert site_file().resolve() == places[0]


def test_where_there_is_no_site_file_all_places_are_named(places):
    with pytest.raises(Misuse, match=r"neither --site nor LBKIT_SITE names one, and site\.toml and .* are not there"):
        site_file()


def test_a_site_does_not_change_once_it_is_read(tmp_path, kinds):
    profiles.write("ccw", tmp_path / "site.toml")
    site = load_site(tmp_path / "site.toml", kinds)
    with pytest.raises(ValueError, match="frozen"):
        site.vips[0].label = "B"
