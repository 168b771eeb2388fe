"""`lbkit check site` as a user meets it, and `check_site` as a program does."""

from __future__ import annotations

import asyncio
import json

import pytest
from unit.site_text import server, site, vip
from unit.test_cli import KEYS, closed_port, lbkit, open_port, started

import lbkit as library
from lbkit.checks import underway
from lbkit.checks.survey import exit_code
from lbkit.errors import CannotRun

__all__ = ["closed_port", "open_port"]


@pytest.fixture
def site_file(tmp_path):
    def write(*vips, **more):
        path = tmp_path / "site.toml"
        path.write_text(site(*vips, **more))
        return str(path)

    return write


@pytest.fixture
def half_up(site_file, open_port, closed_port):
    return site_file(vip("HL7", "127.0.0.3:2101", server("good", open_port), server("gone", closed_port)))


def test_a_real_server_that_is_down_is_exit_2_and_named_with_its_vip_and_reason(half_up):
    ran = lbkit("check", "site", "--site", half_up, "--real-only")
    assert ran.returncode == 2
    assert "1 of 2 DOWN" in ran.stdout
    assert "down  HL7 / gone" in ran.stdout
    assert "at connect: refused" in ran.stdout
    assert "good" not in ran.stdout
    assert ran.stderr.startswith("test: 1 up, 1 down in ")


def test_verbose_shows_what_is_up_too(half_up):
    assert "up  HL7 / good" in lbkit("check", "site", "--site", half_up, "--real-only", "-v").stdout


def test_all_up_is_exit_0(site_file, open_port):
    path = site_file(vip("A", open_port, server("a", open_port.replace("127.0.0.1", "127.0.0.2"))))
    ran = lbkit("check", "site", "--site", path, "--vip-only")
    assert (ran.returncode, "down" in ran.stdout) == (0, False)


def test_json_has_each_check_with_its_vip_and_server_and_the_sums(half_up):
    ran = lbkit("check", "site", "--site", half_up, "--real-only", "--json")
    found = json.loads(ran.stdout)
    assert ran.returncode == 2
    assert list(found) == ["site", "summary", "duration_s", "checks"]
    assert found["summary"] == {"up": 1, "down": 1, "not_testable": 0, "warnings": 0}
    assert [list(one) for one in found["checks"]] == [["vip", "server", *KEYS]] * 2
    assert [(one["vip"], one["server"], one["status"]) for one in found["checks"]] == [
        ("HL7", "good", "up"),
        ("HL7", "gone", "down"),
    ]


def test_lines_begin_with_the_vip_and_the_server(half_up):
    first, second = lbkit("check", "site", "--site", half_up, "--real-only", "--format", "line").stdout.splitlines()
    assert first.startswith("HL7 good up connect ")
    assert second.startswith("HL7 gone down connect ")


def test_nagios_has_the_sums_first_then_what_is_wrong(half_up):
    first, second = lbkit("check", "site", "--site", half_up, "--real-only", "--format", "nagios").stdout.splitlines()
    assert first.startswith("SITE CRITICAL - test: 1 up, 1 down, 0 not testable, 0 warnings | time=")
    assert second.startswith("HL7 gone down connect ")


def test_prometheus_has_a_series_for_each_check_with_vip_and_server(half_up, closed_port):
    text = lbkit("check", "site", "--site", half_up, "--real-only", "--format", "prometheus").stdout
    assert f'lbkit_check_up{{check="connect",target="{closed_port}",vip="HL7",server="gone"}} 0' in text
    assert text.count('server="good"') > 1


def test_a_layer_4_vip_on_this_machine_is_not_testable_here_and_hurts_no_exit_code(site_file, open_port):
    path = site_file(vip("DICOM", f"127.0.0.9:{open_port.split(':')[1]}", server("a", "127.0.0.1"), mode="l4-dr"))
    ran = lbkit("check", "site", "--site", path, "--json")
    assert ran.returncode == 0
    of_vip, _, of_server = json.loads(ran.stdout)["checks"]
    assert (of_vip["status"], of_vip["reason"]) == ("not-testable", "not-testable-here")
    assert of_server["status"] == "up"
    assert "not testable here" in lbkit("check", "site", "--site", path).stdout


def test_a_check_that_could_not_be_run_is_exit_3_beside_others_that_are_up(site_file, open_port):
    missing = server("b", "127.0.0.2:443", re_encrypt=True, verify="F")
    path = site_file(
        vip("A", "127.0.0.9:80", server("a", open_port), missing), ca_families={"F": {"ca_file": "gone.pem"}}
    )
    ran = lbkit("check", "site", "--site", path, "--real-only")
    assert ran.returncode == 3
    assert "1 of 2 up" in ran.stdout
    assert "could not be run  A / b  127.0.0.2:443" in ran.stdout
    assert "gone.pem can't be read" in ran.stdout


def test_what_is_down_goes_before_what_could_not_be_run(site_file, closed_port):
    missing = server("b", "127.0.0.2:443", re_encrypt=True, verify="F")
    path = site_file(
        vip("A", "127.0.0.9:80", server("a", closed_port), missing), ca_families={"F": {"ca_file": "gone.pem"}}
    )
    assert lbkit("check", "site", "--site", path, "--real-only").returncode == 2


def test_what_this_machine_can_not_try_is_said_in_its_place(half_up, monkeypatch):
    def no_socket(*_):
        raise CannotRun("a socket can't be opened.")

    async def collect():
        return [found async for found in library.check_site(library.load_site(half_up), virtual=False)]

    monkeypatch.setattr(underway, "open_socket", no_socket)
    results = [one.result for one in asyncio.run(collect())]
    assert [(one.status, one.reason) for one in results] == [("not-testable", "cannot-run")] * 2
    assert {one.message for one in results} == {"a socket can't be opened."}
    assert exit_code(results) == 3


def test_a_server_is_as_bad_as_the_worst_of_its_ports(site_file, open_port, closed_port):
    ports = [int(target.split(":")[1]) for target in (open_port, closed_port)]
    path = site_file(vip("A", f"127.0.0.9:{ports[0]},{ports[1]}", server("a", "127.0.0.1")))
    assert " DOWN" in lbkit("check", "site", "--site", path, "--real-only").stdout.splitlines()[3]


def greets_badly(client):
    client.sendall(b"HTTP/1.1 503 a|b\x1b[31m\r\nContent-Length: 0\r\n\r\n")
    client.recv(1)


def test_what_a_remote_says_is_harmless_in_tables_and_status_lines(site_file, listener):
    check = {"kind": "https-get", "tls": False}
    path = site_file(vip("A", "127.0.0.9:80", server("a", listener(greets_badly).target), check=check))
    table = lbkit("check", "site", "--site", path, "--real-only").stdout
    assert "503" in table
    assert "\x1b" not in table
    _, line = lbkit("check", "site", "--site", path, "--real-only", "--format", "nagios").stdout.splitlines()
    assert "503 a/b" in line


def test_nagios_has_the_worst_first(site_file, closed_port):
    missing = server("a", "127.0.0.2:443", re_encrypt=True, verify="F")
    servers = (missing, server("b", closed_port), server("c", closed_port))
    path = site_file(vip("A", "127.0.0.9:80", *servers), ca_families={"F": {"ca_file": "gone.pem"}})
    ran = lbkit("check", "site", "--site", path, "--real-only", "--format", "nagios")
    assert [line.split()[:2] for line in ran.stdout.splitlines()[1:]] == [["A", "b"], ["A", "c"], ["A", "a"]]


def test_servers_that_vips_share_are_checked_once_and_told_once(site_file, listener, closed_port):
    remote = listener(lambda client: client.recv(1))
    vips = [
        vip(label, f"127.0.0.9:{port}", server("x", remote.target), server("y", closed_port))
        for label, port in (("A", 1), ("B", 2))
    ]
    ran = lbkit("check", "site", "--site", site_file(*vips), "--real-only")
    assert "down  A / y, B / y" in ran.stdout
    assert remote.accepted == 1


def test_a_broken_site_file_is_exit_3_with_every_error_and_its_line_and_nothing_is_checked(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('name = "x"\nvip = 1\n')
    ran = lbkit("check", "site", "--site", str(path))
    assert (ran.returncode, ran.stdout) == (3, "")
    assert f"{path}:2: error: vip: there is no key vip. Did you mean vips?" in ran.stderr


def test_the_site_file_is_found_by_option_variable_or_folder(tmp_path, half_up, monkeypatch):
    assert lbkit("check", "site", "--real-only", LBKIT_SITE=half_up).returncode == 2
    monkeypatch.chdir(tmp_path)  # where half_up is site.toml
    assert lbkit("check", "site", "--real-only").returncode == 2
    other = tmp_path / "other.toml"
    other.write_text("")
    assert "other.toml" in lbkit("check", "site", "--site", str(other), LBKIT_SITE=half_up).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--real-only", "--vip-only"), "leave nothing to check"),
        (("--json", "--format", "line"), "contradict each other"),
        (("--json", "-v"), "--verbose is for the table"),
        (("NO_SUCH",), "no VIP of site test is labelled 'NO_SUCH'"),
    ],
)
def test_misuse_is_exit_3(half_up, arguments, says):
    ran = lbkit("check", "site", "--site", half_up, *arguments)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert says in ran.stderr


def test_labels_of_vips_are_completed(half_up):
    ran = started(LBKIT_SITE=half_up, _LBKIT_COMPLETE="complete_bash", COMP_WORDS="lbkit check site H", COMP_CWORD="3")
    assert ran.stdout.split() == ["HL7"]


def test_a_program_gets_each_check_as_it_is_found(half_up):
    async def collect():
        return [found async for found in library.check_site(library.load_site(half_up), virtual=False)]

    found = asyncio.run(collect())
    assert {(one.vip, one.server, one.result.status) for one in found} == {
        ("HL7", "good", "up"),
        ("HL7", "gone", "down"),
    }
