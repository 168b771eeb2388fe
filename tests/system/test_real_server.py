"""A Linux real server that is prepared for direct routing: who answers ARP for the VIP, and who takes packets for it.

The client stands for the balancer, which sends frames for the VIP to the server's own MAC.
"""

from __future__ import annotations

import json
import pwd
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from unit.site_text import server, site, vip

from lbkit.checks.registry import Registry
from lbkit.ipvs.real_server import Prepared, prepared
from lbkit.site.load import load_site

VIPS = ("192.0.2.10", "2001:db8::10")
CLIENT, SERVER = ("192.0.2.99", "2001:db8::99"), ("192.0.2.11", "2001:db8::11")
FOREIGN = "198.51.100.7"  # an address on lo that is not lbkit's
ANSWER_WITHIN = 2.0  # seconds; asking for a MAC ends after three times 50 ms
SETTINGS = ("ipv4/conf/all/arp_ignore", "ipv4/conf/all/arp_announce")
NETWORKD = Path("/lib/systemd/systemd-networkd")


class Lan(NamedTuple):
    client: Namespace
    server: Namespace


@pytest.fixture
def lan() -> Iterator[Lan]:
    program("sysctl", "procps")
    with namespaces(2) as made:
        found = Lan(*made)
        ran = found.client.tried(*f"ip link add eth0 type veth peer name eth0 netns {found.server.file}".split())
        if ran.returncode:
            pytest.skip(reason=f"this machine makes no pair of interfaces: {ran.stderr.strip()}")
        for at, (four, six) in ((found.client, CLIENT), (found.server, SERVER)):
            at.run(f"ip addr add {four}/24 dev eth0", f"ip -6 addr add {six}/64 dev eth0 nodad", "ip link set eth0 up")
        found.server.run(f"ip addr add {FOREIGN}/32 dev lo")
        for family in ("ipv4", "ipv6"):
            found.client.set(f"{family}/neigh/eth0/retrans_time_ms", "50")
        yield found


@pytest.fixture
def told(tmp_path):
    def make(form: str, undo: bool = False) -> Prepared:
        vips = [vip(f"V{i}", "192.0.2.1:104", server("s", "192.0.2.2"), mode="l4-dr") for i in range(len(VIPS))]
        for table, address, own in zip(vips, VIPS, SERVER, strict=True):
            table["address"], table["servers"][0]["address"] = address, own
        (tmp_path / "site.toml").write_text(site(*vips))
        return prepared(load_site(tmp_path / "site.toml", Registry().models()), "s", form, undo=undo)

    return make


@pytest.fixture
def script(told, tmp_path):
    """The commands; what they keep in /run, which all namespaces share, they keep in a folder of the test."""

    def make(undo: bool = False) -> str:
        (content,) = told("commands", undo).files.values()
        assert "=/run/" in content
        return content.replace("=/run/", f"={tmp_path}/")

    return make


def run(at: Namespace, script: str) -> None:
    ran = at.tried("sh", "-c", script)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def state(at: Namespace) -> tuple[object, ...]:
    """Addresses on lo, as (address, prefix, scope), and the settings of ARP."""
    (lo,) = json.loads(at.tried("ip", "-j", "address", "show", "dev", "lo").stdout)
    addresses = sorted((one["local"], one["prefixlen"], one["scope"]) for one in lo["addr_info"])
    with at.inside():
        return addresses, [Path("/proc/sys/net", name).read_text().strip() for name in SETTINGS]


def resolves(at: Namespace, address: str) -> bool:
    """Whether anybody answers who has that address."""
    at.tried("ip", "neigh", "flush", "dev", "eth0")
    return takes(at, address)


def takes(at: Namespace, address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with at.inside(), socket.socket(family) as asking:
        asking.settimeout(ANSWER_WITHIN)
        with suppress(TimeoutError, OSError):
            asking.connect((address, 104))
            return True
    return False


@pytest.fixture
def listening(lan) -> Iterator[None]:
    with lan.server.inside(), socket.create_server(("::", 104), family=socket.AF_INET6, dualstack_ipv6=True):
        yield


@pytest.mark.usefixtures("listening")
def test_without_it_a_linux_server_answers_arp_for_a_vip_on_its_loopback(lan):
    lan.server.run(f"ip addr add {VIPS[0]}/32 dev lo")
    assert resolves(lan.client, VIPS[0])


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(("address", "own"), list(zip(VIPS, SERVER, strict=True)))
def test_the_server_takes_packets_for_the_vip_and_answers_nobody_who_asks_where_it_is(lan, script, address, own):
    run(lan.server, script())
    deadline = time.monotonic() + ANSWER_WITHIN
    while not resolves(lan.client, own):  # an interface that is just up has no IPv6 route yet
        assert time.monotonic() < deadline
    assert not resolves(lan.client, address)
    (link,) = json.loads(lan.server.tried("ip", "-j", "link", "show", "eth0").stdout)
    lan.client.run(f"ip neigh replace {address} lladdr {link['address']} dev eth0")
    assert takes(lan.client, address)


def test_the_commands_can_be_run_twice(lan, script):
    run(lan.server, script())
    once = state(lan.server)
    assert (VIPS[0], 32, "host") in once[0]
    assert (VIPS[1], 128, "global") in once[0]
    assert once[1] == ["1", "2"]
    run(lan.server, script())
    assert state(lan.server) == once


def test_undone_all_is_as_before_whatever_it_was(lan, script):
    lan.server.set("ipv4/conf/all/arp_ignore", "2")
    before = state(lan.server)
    assert (FOREIGN, 32, "global") in before[0]
    run(lan.server, script())
    run(lan.server, script())
    for _ in range(2):
        run(lan.server, script(undo=True))
        assert state(lan.server) == before


def test_a_vip_is_never_the_source_of_what_the_server_begins_itself(lan, script):
    lan.server.run(f"ip addr del {SERVER[0]}/24 dev eth0", f"ip addr del {FOREIGN}/32 dev lo")
    run(lan.server, script())
    lan.server.run(f"ip route add {CLIENT[0]} dev eth0")
    with lan.server.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        with suppress(OSError):
            asking.connect((CLIENT[0], 9))
        assert asking.getsockname()[0] != VIPS[0]


def test_networkd_gives_the_addresses_and_leaves_others_alone(lan, told, tmp_path):
    made = told("networkd")
    if not NETWORKD.exists() or not any(user.pw_name == "systemd-network" for user in pwd.getpwall()):
        pytest.skip(reason="systemd-networkd is not installed (Debian package systemd)")
    for path, content in made.files.items():
        (tmp_path / Path(path).name).write_text(content)
    ran = lan.server.tried("unshare", "--mount", "sh", "-c", _IN_A_SYSTEMD.format(folder=tmp_path, networkd=NETWORKD))
    if ran.returncode == 77:
        pytest.skip(reason=f"this machine lets nobody mount: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    addresses, _ = state(lan.server)
    assert {(VIPS[0], 32, "host"), (VIPS[1], 128, "global"), (FOREIGN, 32, "global")} <= set(addresses)
    conf = tmp_path / "90-lbkit-real-server.conf"
    assert f"sysctl -q -p /etc/sysctl.d/{conf.name}" == made.commands[0]
    lan.server.run(f"sysctl -q -p {conf}")
    assert state(lan.server)[1] == ["1", "2"]


# a read-only /sys is how networkd knows that no udev will tell it of interfaces
_IN_A_SYSTEMD = """
{{ mount -t tmpfs none /run && mount -t tmpfs none /etc/systemd/network && umount -l /sys && mount -t sysfs -o ro none /sys
}} || exit 77
cp {folder}/*.network /etc/systemd/network/
install -d -o systemd-network -g systemd-network /run/systemd /run/systemd/netif
{networkd} 2>{folder}/log &
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    ip -6 address show dev lo to 2001:db8::10 | grep -q inet6 && break
    sleep 0.2
done
kill $!
wait $! || true
"""
