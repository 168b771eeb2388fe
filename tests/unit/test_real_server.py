"""What a real server of layer-4 VIPs is told to do.

`real_server/` has what DICOM_Server_1 of the profile ccw is told. To have it written anew, after a change that is wanted:
LBKIT_REGENERATE=1 pytest tests/unit/test_real_server.py
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.powershell import literals, problems
from unit.site_text import server, site, vip
from unit.test_cli import lbkit

from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.ipvs.real_server import powershell, prepared
from lbkit.site import profiles
from lbkit.site.load import load_site
from lbkit.site.model import Site

GOLDEN = Path(__file__).parent / "real_server"
LABEL = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True)


def addresses_of(version):
    return st.ip_addresses(v=version).map(str)


def dr(label, target, *servers, **more):
    return vip(label, target, *servers, mode="l4-dr", **more)


@pytest.fixture
def loaded(tmp_path):
    def load(*vips) -> Site:
        (tmp_path / "site.toml").write_text(site(*vips))
        return load_site(tmp_path / "site.toml", Registry().models())

    return load


@pytest.fixture
def ccw(tmp_path) -> Path:
    path = tmp_path / "ccw.toml"
    path.write_text(profiles.text("ccw"))
    return path


@pytest.mark.parametrize(
    ("form", "undo"), [("powershell", False), *itertools.product(["netsh", "commands", "networkd"], [False, True])]
)
def test_dicom_server_1_of_the_profile_is_told_what_the_golden_files_say(form, undo, ccw):
    made = prepared(load_site(ccw, Registry().models()), "DICOM_Server_1", form, undo=undo)
    parts = [f"== {path}\n{content}" for path, content in made.files.items()]
    text = "".join([*parts, "== commands\n", *(f"{one}\n" for one in made.commands)]).replace("\r\n", "\n")
    golden = GOLDEN / f"{form}{'-undo' if undo else ''}.txt"
    if os.environ.get("LBKIT_REGENERATE") == "1":
        golden.write_text(text)
    assert text == golden.read_text()


def test_an_address_of_several_vips_is_given_once_and_others_not_at_all(loaded):
    made = prepared(
        loaded(
            dr("A", "192.0.2.1:104", server("a", "192.0.2.11"), server("b", "192.0.2.12")),
            dr("B", "192.0.2.1:105", server("other-name", "192.0.2.11")),
            dr("C", "192.0.2.2:104", server("a", "192.0.2.11")),
            dr("D", "192.0.2.3:104", server("b", "192.0.2.12")),
            vip("E", "192.0.2.4:80", server("a", "192.0.2.11:80")),
        ),
        "a",
        "commands",
    )
    assert made.vips == {"192.0.2.1": ["A", "B"], "192.0.2.2": ["C"]}
    assert made.address == "192.0.2.11"
    assert re.findall(r"192\.0\.2\.\d/32", "".join(made.files.values())) == ["192.0.2.1/32", "192.0.2.2/32"]


def test_a_real_server_is_known_by_its_address_too(loaded):
    one = loaded(dr("A", "192.0.2.1:104", server("a", "192.0.2.11")))
    assert prepared(one, "192.0.2.11", "powershell") == prepared(one, "a", "powershell")


def test_a_fallback_server_takes_packets_for_the_vip_as_real_servers_do(loaded):
    spare = {"address": "192.0.2.9", "port": 104}
    one = loaded(dr("A", "192.0.2.1:104", server("a", "192.0.2.11"), fallback=spare))
    made = prepared(one, "192.0.2.9", "commands")
    assert made.vips == {"192.0.2.1": ["A"]}
    assert made.name == "192.0.2.9"


def test_a_real_server_of_layer_7_alone_needs_nothing(loaded):
    with pytest.raises(
        Misuse, match=r"^a is in no layer-4 VIP of site test: on layer 7 a real server needs nothing\.$"
    ):
        prepared(loaded(vip("A", "192.0.2.1:80", server("a", "192.0.2.11"))), "a", "powershell")


def test_one_that_is_not_there_is_misuse_with_advice(loaded):
    one = loaded(dr("A", "192.0.2.1:104", server("dicom-1", "192.0.2.11")))
    with pytest.raises(Misuse, match=r"Did you mean dicom-1\?"):
        prepared(one, "dicom-2", "powershell")


def test_a_label_of_two_machines_is_not_guessed(loaded):
    one = loaded(
        dr("A", "192.0.2.1:104", server("a", "192.0.2.11")), dr("B", "192.0.2.2:104", server("a", "192.0.2.12"))
    )
    with pytest.raises(
        Misuse, match=r"a is the label of several real servers: 192.0.2.11, 192.0.2.12. Give an address."
    ):
        prepared(one, "a", "powershell")
    assert prepared(one, "192.0.2.12", "powershell").vips == {"192.0.2.2": ["B"]}


def test_a_machine_with_an_address_of_either_family_is_one(loaded):
    four, six = dr("A", "192.0.2.1:104", server("a", "192.0.2.11")), dr("B", "192.0.2.1:104", server("a", "192.0.2.11"))
    six["address"], six["servers"][0]["address"] = "2001:db8::1", "2001:db8::11"
    made = prepared(loaded(four, six), "a", "netsh")
    assert made.vips == {"192.0.2.1": ["A"], "2001:db8::1": ["B"]}
    (script,) = made.files.values()
    assert 'netsh interface ipv6 add address interface="%LOOPBACK%" address=2001:db8::1/128 skipassource=true' in script
    assert 'netsh interface ipv6 set interface "%NET%" weakhostreceive=enabled' in script


def test_the_parser_of_powershell_sees_what_is_broken():
    assert problems("if ($true) { 'a' }") == []
    assert problems("if ($true) { 'a' ")
    assert problems("'it's'")


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40))
def test_any_text_stays_one_string_of_powershell(text):
    assert literals(f"$x = {powershell(text)}\n") == [text]


def test_the_quotes_that_word_processors_write_end_no_string_either():
    assert powershell("a\u2019; b\u2018c\u201ad\u201be") == "'a\u2019\u2019; b\u2018\u2018c\u201a\u201ad\u201b\u201be'"


@settings(deadline=None, max_examples=25)
@given(
    addresses=st.sampled_from([4, 6]).flatmap(lambda v: st.lists(addresses_of(v), min_size=2, max_size=5, unique=True)),
    labels=st.tuples(LABEL, LABEL),
)
def test_whatever_the_site_the_scripts_are_right_and_have_its_addresses(tmp_path_factory, addresses, labels):
    own, *vips = addresses
    folder = tmp_path_factory.mktemp("site")
    document = site(*(_vip_table(labels[0], number, address, labels[1], own) for number, address in enumerate(vips)))
    (folder / "site.toml").write_text(document)
    one = load_site(folder / "site.toml", Registry().models())
    (script,) = prepared(one, labels[1], "powershell").files.values()
    assert problems(script) == []
    assert script.isascii()  # PowerShell 5.1 takes a file without BOM for the machine's code page
    assert [text for text in literals(script) if _is_address(text)] == [own, *vips]
    for undo in (False, True):
        (script,) = prepared(one, labels[1], "commands", undo=undo).files.values()
        subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=10)
        assert all(f" {address}/" in script for address in vips)


def _vip_table(label, number, address, of_server, own):
    table = dr(f"{label[:58]}{number}", "192.0.2.1:104", server(of_server, "192.0.2.2"))
    table["address"], table["servers"][0]["address"] = address, own
    return table


def _is_address(text: str) -> bool:
    for kind in (IPv4Address, IPv6Address):
        try:
            kind(text)
            return True
        except ValueError:
            pass
    return False


def test_windows_is_what_a_real_server_runs_on_unless_said_otherwise(ccw):
    ran = lbkit("render", "real-server", "DICOM_Server_1", "--site", str(ccw))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("#Requires -Version 4.0\n")
    linux = lbkit("render", "real-server", "DICOM_Server_1", "--os", "linux", "--site", str(ccw))
    assert linux.stdout.startswith("#!/bin/sh\n")


def test_files_of_networkd_are_printed_with_their_places_and_then_what_root_runs(ccw):
    command = ("render", "real-server", "DICOM_Server_1", "--os", "linux", "--format", "networkd", "--site", str(ccw))
    lines = lbkit(*command).stdout.splitlines()
    headings = ["# /etc/sysctl.d/90-lbkit-real-server.conf", "# /etc/systemd/network/50-lbkit-real-server.network"]
    assert [line for line in lines if line in headings] == headings
    assert lines[-1] == "networkctl reload"
    found = json.loads(lbkit(*command, "--json").stdout)
    assert [f"# {file['path']}" for file in found["files"]] == headings
    assert (found["server"], found["address"], found["os"]) == ("DICOM_Server_1", "192.32.40.210", "linux")
    assert list(found["vips"]) == ["192.32.43.231"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--format", "networkd"],
            "--format networkd is for --os linux. For --os windows there are: powershell, netsh.",
        ),
        (["--os", "linux", "--format", "netsh"], "--format netsh is for --os windows."),
        (["--undo"], "Run it with -Undo."),
    ],
)
def test_what_does_not_go_together_is_misuse(options, said, ccw):
    ran = lbkit("render", "real-server", "DICOM_Server_1", *options, "--site", str(ccw))
    assert ran.returncode == 3
    assert said in ran.stderr
    assert ran.stdout == ""
