"""The site file that the demo writes: the profile, with addresses and ports of this machine."""

import socket
import tomllib
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import pytest

import lbkit
from lbkit.errors import CannotRun, Misuse
from lbkit_demo.ports import alone, ports_for
from lbkit_demo.sitefile import CA_FILE, CERT_FILE, FIRST_LINE, NAME, refuse_unfit, render

PROFILE = (files("lbkit") / "profiles" / "ccw.toml").read_text()
HOST = "127.0.99.1"  # of this file alone
OTHER = "127.0.99.2"


@pytest.fixture(scope="module")
def text():
    return render(1.5)


def test_it_loads_without_errors(text, tmp_path):
    (tmp_path / NAME).write_text(text)
    assert len(lbkit.load_site(tmp_path / NAME).vips) == 15


def changed(one, like):
    return {key for key in one.keys() | like.keys() if one.get(key) != like.get(key)}


def test_it_is_the_profile_but_for_addresses_ports_checks_and_haproxys_own_tables(text):
    site, guide = tomllib.loads(text), tomllib.loads(PROFILE)
    assert changed(site, guide) == {"vips", "pair", "haproxy", "agent", "fallback_page"}
    for vip, like in zip(site["vips"], guide["vips"], strict=True):
        assert changed(vip, like) <= {"address", "ports", "check", "servers", "fallback"}
        assert changed(vip["check"], like["check"]) == {"interval", "rise", "fall", "timeout"}
        for server, its_like in zip(vip["servers"], like["servers"], strict=True):
            assert changed(server, its_like) <= {"address", "port"}


def test_the_comments_of_the_profile_stay(text):
    comments = [line for line in PROFILE.splitlines() if line.startswith("# ---")]
    assert [line for line in text.splitlines() if line.startswith("# ---")] == comments


def test_all_its_addresses_are_this_machines_and_like_the_guides(text):
    site, guide = tomllib.loads(text), tomllib.loads(PROFILE)
    for vip, of_guide in zip(site["vips"], guide["vips"], strict=True):
        for one, like in zip([vip, *vip["servers"]], [of_guide, *of_guide["servers"]], strict=True):
            assert one["address"] == like["address"].replace("192.32.", "127.0.")


def test_every_check_has_the_timeout_that_was_asked_for(text):
    assert {vip["check"]["timeout"] for vip in tomllib.loads(text)["vips"]} == {"1500ms"}


def test_checks_are_quick_and_on_layer_4_one_has_ended_when_the_next_is_due(text):
    for vip in tomllib.loads(text)["vips"]:
        interval = vip["check"]["timeout"] if vip["mode"] == "l4-dr" else "500ms"
        assert (vip["check"]["interval"], vip["check"]["rise"], vip["check"]["fall"]) == (interval, 1, 2)


def test_all_that_haproxy_writes_is_beside_the_file(text, tmp_path):
    (tmp_path / NAME).write_text(text)
    settings = lbkit.load_site(tmp_path / NAME).haproxy
    assert {Path(one).parent for one in (settings.folder, settings.runtime)} == {tmp_path}
    assert Path(settings.master_socket).parent == Path(settings.runtime)


def test_haproxys_own_ports_are_others_where_they_are_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.MonkeyPatch.context() as patch:
        patch.setattr("lbkit_demo.sitefile.STATS_PORT", taken.getsockname()[1])
        assert tomllib.loads(render(1.0))["haproxy"]["stats_port"] != taken.getsockname()[1]


@pytest.mark.parametrize("folder", ["/tmp/" + "x" * 72, "/tmp/two words", "/tmp/$HOME"])
def test_a_folder_that_can_not_have_haproxys_sockets_is_refused(folder):
    with pytest.raises(Misuse, match="at most 76 letters, digits"):
        refuse_unfit(Path(folder))


def test_it_says_who_wrote_it_in_its_first_line(text):
    assert text.splitlines()[0] == FIRST_LINE


def test_a_port_of_the_guide_stays_where_it_is_free():
    assert ports_for({21042: [HOST, OTHER]}) == {21042: 21042}


def test_a_port_that_only_root_may_have_becomes_one_10000_higher():
    assert ports_for({443: [HOST], 104: [OTHER]}) == {443: 10443, 104: 10104}


def test_a_port_that_is_taken_at_one_address_becomes_another_at_all():
    with socket.create_server((OTHER, 21042)):
        found = ports_for({21042: [HOST, OTHER]})[21042]
        assert found not in (0, 21042)
        with ExitStack() as sockets:
            for address in (HOST, OTHER):
                sockets.enter_context(socket.create_server((address, found)))


def test_two_ports_never_become_one():
    ports = ports_for({443: [HOST], 10443: [HOST]})
    assert len(set(ports.values())) == 2


def test_a_demo_that_starts_waits_for_another_one_that_does_and_not_for_ever():
    with alone(), pytest.raises(CannotRun, match="another demo has been starting"), alone(0.1):
        pass
    with alone(0.1):
        pass


def test_addresses_of_other_machines_are_said_to_be_missing_here():
    with pytest.raises(CannotRun, match=r"no port for 8443 is free at 192\.0\.2\.1"):
        ports_for({8443: ["192.0.2.1"]})


@pytest.mark.parametrize("name", [NAME, CA_FILE, CERT_FILE])
def test_a_folder_with_somebodys_own_files_is_refused(tmp_path, name):
    (tmp_path / "tls").mkdir()
    (tmp_path / name).write_text("name = 'CCW'\n")
    with pytest.raises(Misuse, match="no demo has written it"):
        refuse_unfit(tmp_path)


def test_a_folder_of_an_earlier_demo_is_taken_again(tmp_path, text):
    (tmp_path / "tls").mkdir()
    for name, content in ((NAME, text), (CA_FILE, ""), (CERT_FILE, "")):
        (tmp_path / name).write_text(content)
    refuse_unfit(tmp_path)
