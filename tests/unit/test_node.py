"""Which node of the pair this machine is."""

from __future__ import annotations

import socket

import pytest
from unit.site_text import server, site, vip

from lbkit.errors import Misuse
from lbkit.site.load import load_site
from lbkit.state.node import node_of

NODES = [{"name": "lb1", "address": "198.51.100.77"}, {"name": "lb2", "address": "127.0.0.9"}]


@pytest.fixture
def paired(tmp_path, monkeypatch):
    monkeypatch.delenv("LBKIT_NODE", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere.hospital.example")
    (tmp_path / "site.toml").write_text(
        site(vip("V", "192.0.2.1:80", server("s", "192.0.2.11:80")), pair={"nodes": NODES})
    )
    return load_site(tmp_path / "site.toml", {})


def test_this_node_is_the_one_that_is_given_else_of_the_environment_else_of_this_host_else_of_this_address(
    paired, monkeypatch
):
    assert node_of(paired).name == "lb2"
    monkeypatch.setattr(socket, "gethostname", lambda: "lb1.hospital.example")
    assert node_of(paired).name == "lb1"
    monkeypatch.setenv("LBKIT_NODE", "lb2")
    assert node_of(paired).name == "lb2"
    assert node_of(paired, "lb1").name == "lb1"


def test_a_node_that_is_not_of_the_pair_is_misuse_and_so_is_none(paired, monkeypatch):
    with pytest.raises(
        Misuse, match=r"no node of site test is called 'lb3'\. There are lb1 and lb2: give one \(LBKIT_NODE"
    ):
        node_of(paired, "lb3")
    monkeypatch.setattr("lbkit.state.node.is_of_this_machine", lambda address: False)
    with pytest.raises(
        Misuse, match=r"this machine .* is no node of site test: that has lb1 and lb2\. .* \(LBKIT_NODE"
    ):
        node_of(paired)
