"""What one check looks at: how it is written and how it is shown."""

import pytest

from lbkit.checks.target import Target
from lbkit.errors import Misuse


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("192.32.40.210", "192.32.40.210", 104),
        ("192.32.40.210:11112", "192.32.40.210", 11112),
        ("ccw-app-1", "ccw-app-1", 104),
        ("ccw_app.hospital.example:1", "ccw_app.hospital.example", 1),
        (" host:65535\n", "host", 65535),
        ("::1", "::1", 104),
        ("[::1]", "::1", 104),
        ("[2001:db8::7]:11112", "2001:db8::7", 11112),
        ("fe80::1%eth0", "fe80::1%eth0", 104),
        ("[fe80::1%eth0.5]:2", "fe80::1%eth0.5", 2),
        ("bücher.example", "bücher.example", 104),
    ],
)
def test_a_target_is_a_host_and_perhaps_a_port(written, host, port):
    target = Target.parse(written, 104)
    assert (target.host, target.port, target.vip, target.vport) == (host, port, None, None)


def test_a_target_reads_back_as_it_is_shown():
    for written in ("host:1", "192.0.2.1:104", "[::1]:104"):
        assert str(Target.parse(written)) == written


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        ":104",
        "[]:104",
        "[::1",
        "[::1]104",
        "::1]:104",
        "a b",
        "a/b",
        "a@b",
        "a,b",
        "a?b",
        "a#b",
        "x" * 254,
    ],
)
def test_what_is_no_host_is_misuse(written):
    with pytest.raises(Misuse, match="this is no host name or address") as caught:
        Target.parse(written, 104)
    assert repr(written) in str(caught.value)


@pytest.mark.parametrize(
    "control", ["\0", "\n", "\x1b", "\x7f", "\x85", "\x9b", "\u200b", "\u2028", "\u202e", "\udc80"]
)
def test_a_host_has_only_characters_that_print(control):
    with pytest.raises(Misuse, match="this is no host name or address") as caught:
        Target.parse(f"ho{control}st", 104)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "+1", "1.0", "http", "999999", "\uff11"])
def test_what_is_no_port_is_misuse(port):
    with pytest.raises(Misuse, match=r"is no port\. A port is a number from 1 to 65535") as caught:
        Target.parse(f"host:{port}", 104)
    assert "host" in str(caught.value)


def test_without_any_port_a_target_is_misuse():
    with pytest.raises(Misuse, match=r"no port is given. Write HOST:PORT, or give --port"):
        Target.parse("host")


def test_equal_targets_are_equal_and_the_vip_counts():
    assert Target("a", 1) == Target.parse("a:1")
    assert len({Target("a", 1), Target("a", 1), Target("a", 1, "192.0.2.9", 104)}) == 2
