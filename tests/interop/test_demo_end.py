"""Nothing is left of a simulated site. No other one may stand in this process meanwhile."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from lbkit.errors import CannotRun
from lbkit.haproxy.program import HAPROXY
from lbkit_demo.site import SimulatedSite


def test_nothing_is_left_of_a_site_that_ends_with_clients_on_it(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    with SimulatedSite(tmp_path, 0.6, {"CCW_NOTIFICATION/CCW_App_Server_1": "dripping"}) as site:
        addresses = {address for server in site.servers.values() for address in server.addresses}
        addresses |= {(vip.address, port) for vip in site.site.vips for port in vip.ports}
        assert len(addresses) == 30 + 17
        clients = [socket.create_connection(address, timeout=5) for address in addresses]
    for client in clients:
        client.close()
    assert set(threading.enumerate()) <= threads
    for address in addresses:
        socket.create_server(address).close()


def test_nothing_is_left_of_a_site_that_does_not_come_to_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set(threading.enumerate())
    monkeypatch.setenv(HAPROXY, "/bin/true")
    with pytest.raises(CannotRun, match="is no HAProxy"), SimulatedSite(tmp_path):
        pass
    assert set(threading.enumerate()) <= threads
