"""Which checks a site asks for, and with which parameters."""

from __future__ import annotations

import pytest
from unit.site_text import server, site, vip

from lbkit.checks.conversation import connected
from lbkit.checks.here import is_of_this_machine
from lbkit.checks.kind import CheckKind, Params
from lbkit.checks.plan import plan
from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.site.load import load_site

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody's address, so not this machine's


@pytest.fixture
def planned(tmp_path):
    def make(*vips, labels=(), more=None, **which):
        (tmp_path / "site.toml").write_text(site(*vips, **(more or {})))
        registry = Registry()
        return plan(load_site(tmp_path / "site.toml", registry.models()), registry.kind, labels, **which)

    return make


def who(planned):
    return [(one.vip, one.server, str(one.target)) for one in planned]


def test_the_vip_itself_comes_first_then_each_real_server(planned):
    found = planned(vip("A", f"{ELSEWHERE}:80", server("a", "192.0.2.2:8080"), server("b", "192.0.2.3:8080")))
    assert who(found) == [
        ("A", None, "192.0.2.1:80"),
        ("A", "a", "192.0.2.2:8080"),
        ("A", "b", "192.0.2.3:8080"),
    ]


def test_a_server_without_port_is_checked_on_every_port_of_the_vip(planned):
    found = planned(vip("A", f"{ELSEWHERE}:80,81", server("a", "192.0.2.2")))
    assert who(found) == [
        ("A", None, "192.0.2.1:80"),
        ("A", None, "192.0.2.1:81"),
        ("A", "a", "192.0.2.2:80"),
        ("A", "a", "192.0.2.2:81"),
    ]


def test_the_port_of_the_check_goes_before_that_of_the_server_and_leaves_the_vip_alone(planned):
    found = planned(vip("A", f"{ELSEWHERE}:80", server("a", "192.0.2.2:80"), check={"kind": "connect", "port": 9000}))
    assert [str(one.target) for one in found] == ["192.0.2.1:80", "192.0.2.2:9000"]


@pytest.mark.parametrize(
    ("which", "servers"), [({"virtual": False}, ["a"]), ({"real": False}, [None]), ({}, [None, "a"])]
)
def test_real_servers_or_vips_alone_can_be_asked_for(planned, which, servers):
    found = planned(vip("A", f"{ELSEWHERE}:80", server("a", "192.0.2.2:80")), **which)
    assert [one.server for one in found] == servers


def test_named_vips_come_once_each_in_the_order_they_were_asked_for(planned):
    vips = [vip(label, f"192.0.2.{i}:80", server("a", "192.0.2.9:80")) for i, label in enumerate("ABC", 1)]
    found = planned(*vips, labels=("C", "A", "C"), real=False)
    assert [one.vip for one in found] == ["C", "A"]


@pytest.mark.parametrize(
    ("label", "says"),
    [("CCG_IB_210", "Did you mean CCG_IB_2101?"), ("xyz", "There are: CCG_IB_2101.")],
)
def test_a_vip_that_is_not_there_is_misuse_and_names_what_could_be_meant(planned, label, says):
    with pytest.raises(Misuse, match=f"no VIP of site test is labelled '{label}'. {says}".replace("?", r"\?")):
        planned(vip("CCG_IB_2101", f"{ELSEWHERE}:80", server("a", "192.0.2.2:80")), labels=(label,))


@pytest.fixture
def identities(throwaway_ca):
    ca, client = throwaway_ca, throwaway_ca.client
    return {
        "ca_families": {"F": {"ca_file": ca.ca_file}},
        "certificates": {"c": {"file": client.cert_file, "key_file": client.key_file}},
    }


def test_a_re_encrypted_server_is_checked_inside_tls_as_its_engine_speaks_to_it(planned, identities, throwaway_ca):
    secured = server("a", "192.0.2.2:443", re_encrypt=True, verify="F", client_certificate="c", server_name="a.test")
    (found,) = planned(vip("A", f"{ELSEWHERE}:443", secured), more=identities, virtual=False)
    params = found.check.params
    assert params.tls is True
    assert (params.ca_file, params.server_name) == (throwaway_ca.ca_file, "a.test")
    assert (params.cert_file, params.key_file) == (throwaway_ca.client.cert_file, throwaway_ca.client.key_file)
    assert (params.verify, params.verify_name) == (True, True)


def test_what_the_site_does_not_verify_the_check_does_not_either(planned, identities):
    servers = [
        server("neither", "192.0.2.2:443", re_encrypt=True),
        server("no-name", "192.0.2.3:443", re_encrypt=True, verify="F"),
    ]
    found = planned(vip("A", f"{ELSEWHERE}:443", *servers), more=identities, virtual=False)
    assert [(one.check.params.verify, one.check.params.verify_name) for one in found] == [(False, False), (True, False)]


def test_a_parameter_of_the_check_goes_before_what_the_server_brings(planned, identities):
    secured = server("a", "192.0.2.2:443", re_encrypt=True, verify="F", server_name="a.test")
    check = {"kind": "connect", "server_name": "other.test", "timeout": "250ms"}
    (found,) = planned(vip("A", f"{ELSEWHERE}:443", secured, check=check), more=identities, virtual=False)
    assert (found.check.params.server_name, found.check.timeout) == ("other.test", 0.25)


def test_a_terminated_vip_is_checked_as_a_client_speaks_to_it(planned, identities, throwaway_ca):
    own = {"file": throwaway_ca.server.cert_file, "key_file": throwaway_ca.server.key_file}
    identities["certificates"]["vip"] = own
    ends = {"certificate": "vip", "ca": "F", "server_name": "vip.test", "check_certificate": "c"}
    terminated = vip("A", f"{ELSEWHERE}:443", server("a", "192.0.2.2:80"), termination=ends)
    of_vip, of_server = planned(terminated, more=identities)
    assert (of_vip.check.params.server_name, of_vip.check.params.ca_file) == ("vip.test", throwaway_ca.ca_file)
    assert of_vip.check.params.cert_file == throwaway_ca.client.cert_file
    assert of_server.check.params.tls is False


def test_a_layer_7_vip_of_this_machine_is_checked(planned):
    of_vip, _ = planned(vip("A", "127.0.0.1:80", server("a", "192.0.2.2:80")))
    assert of_vip.check is not None


def test_a_check_that_knows_no_tls_is_not_given_any(planned, identities, monkeypatch):
    class PlainParams(Params):
        """Nothing of its own."""

    plain = CheckKind("plain", "", PlainParams, lambda params: lambda target: connected(False))
    monkeypatch.setattr(Registry, "kind", lambda self, name: plain)
    secured = server("a", "192.0.2.2:443", re_encrypt=True, verify="F", server_name="a.test")
    (found,) = planned(vip("A", f"{ELSEWHERE}:443", secured, check="plain"), more=identities, virtual=False)
    assert found.check.params == PlainParams()


def test_the_revocation_lists_of_the_family_and_the_password_of_the_key_are_the_checks_too(
    planned, throwaway_ca, tmp_path
):
    ca = throwaway_ca
    (tmp_path / "password").write_text("secret")
    more = {
        "ca_families": {"F": {"ca_file": ca.ca_file, "crl_file": ca.revocation_list()}},
        "certificates": {"c": {"file": ca.pfx(ca.client, b"secret"), "password_file": str(tmp_path / "password")}},
    }
    secured = server("a", "192.0.2.2:443", re_encrypt=True, verify="F", client_certificate="c")
    (found,) = planned(vip("A", f"{ELSEWHERE}:443", secured), more=more, virtual=False)
    assert found.check.params.crl_file == more["ca_families"]["F"]["crl_file"]
    assert found.check.params.key_password_file == str(tmp_path / "password")


def test_equal_checks_are_prepared_once(planned, identities):
    servers = [server(f"s{i}", f"192.0.2.{i}:443", re_encrypt=True, verify="F") for i in (2, 3)]
    first, second = planned(vip("A", f"{ELSEWHERE}:443", *servers), more=identities, virtual=False)
    assert first.check is second.check


def test_what_keeps_one_check_from_running_is_said_in_its_place_and_the_others_run(planned, tmp_path):
    more = {"ca_families": {"F": {"ca_file": "gone.pem"}}}
    servers = [server("a", "192.0.2.2:443", re_encrypt=True, verify="F"), server("b", "192.0.2.3:443")]
    broken, whole = planned(vip("A", f"{ELSEWHERE}:443", *servers), more=more, virtual=False)
    assert (broken.check, broken.reason) == (None, "cannot-run")
    assert f"{tmp_path}/gone.pem can't be read: No such file or directory." in broken.message
    assert whole.check is not None


def test_a_check_without_its_plugin_is_said_in_its_place(planned):
    (found,) = planned(vip("A", f"{ELSEWHERE}:80", server("a", "192.0.2.2:80"), check="no-such"), virtual=False)
    assert found.reason == "cannot-run"
    assert found.message.startswith("no check is called 'no-such'.")


def test_a_layer_4_vip_that_this_machine_holds_is_not_testable_here(planned):
    of_vip, _, of_server = planned(vip("A", "127.0.0.1:104", server("a", "192.0.2.2"), mode="l4-dr"))
    assert (of_vip.check, of_vip.reason) == (None, "not-testable-here")
    assert "Check it from a client, or from the other node." in of_vip.message
    assert of_server.check is not None


def test_a_layer_4_vip_that_is_elsewhere_is_checked_as_any_other(planned):
    of_vip, *_ = planned(vip("A", f"{ELSEWHERE}:104", server("a", "192.0.2.2"), mode="l4-dr"))
    assert of_vip.check is not None


def direct_routing(planned, *vips, **more):
    return [one for one in planned(*vips, **more) if one.kind == "direct-routing"]


@pytest.fixture
def may_send(monkeypatch):
    monkeypatch.setattr("lbkit.checks.direct_routing.may_send_frames", lambda: True)


def test_a_layer_4_vip_is_checked_for_direct_routing_on_each_port_with_its_real_servers_and_nodes(planned, may_send):
    pair = {"nodes": [{"name": "n", "address": "192.0.2.8"}, {"name": "m", "address": "192.0.2.9"}]}
    servers = (server("a", "198.51.100.2"), server("b", "198.51.100.3"))
    found = direct_routing(planned, vip("A", f"{ELSEWHERE}:104,105", *servers, mode="l4-dr"), more={"pair": pair})
    assert [(one.server, str(one.target)) for one in found] == [
        (None, f"{ELSEWHERE}:104"),
        (None, f"{ELSEWHERE}:105"),
    ]
    assert found[0].check.params.real_server == ("a=198.51.100.2", "b=198.51.100.3")
    assert found[0].check.params.node == ("n=192.0.2.8", "m=192.0.2.9")


@pytest.mark.parametrize("which", [{"virtual": False}, {"real": False}])
def test_direct_routing_is_between_a_vip_and_its_real_servers_so_either_alone_is_without(planned, may_send, which):
    assert not direct_routing(planned, vip("A", f"{ELSEWHERE}:104", server("a", "198.51.100.2"), mode="l4-dr"), **which)


def test_layer_7_has_no_direct_routing(planned, may_send):
    assert not direct_routing(planned, vip("A", f"{ELSEWHERE}:104", server("a", "198.51.100.2")))


def test_without_the_right_to_send_frames_direct_routing_is_not_allowed(planned, monkeypatch):
    monkeypatch.setattr("lbkit.checks.direct_routing.may_send_frames", lambda: False)
    (found,) = direct_routing(planned, vip("A", f"{ELSEWHERE}:104", server("a", "198.51.100.2"), mode="l4-dr"))
    assert (found.check, found.reason) == (None, "not-allowed")
    assert "needs CAP_NET_RAW" in found.message


@pytest.mark.parametrize(
    ("address", "real"),
    [("127.0.0.9", "198.51.100.2"), ("192.0.2.1", "127.0.0.9"), ("2001:db8::1", "2001:db8::2")],
    ids=["VIP of this machine's loopback", "real server that is this machine", "IPv6"],
)
def test_where_there_is_no_ipv4_network_between_them_direct_routing_is_not_testable(planned, may_send, address, real):
    one = server("a", "", address=real)
    (found,) = direct_routing(planned, vip("A", "ADDRESS:104", one, address=address, mode="l4-dr"))
    assert (found.check, found.reason) == (None, "not-testable-here")


def test_without_its_plugin_there_is_no_direct_routing_and_nothing_is_said(planned, may_send, monkeypatch):
    monkeypatch.setenv("LBKIT_DISABLE_PLUGINS", "direct-routing")
    assert not direct_routing(planned, vip("A", f"{ELSEWHERE}:104", server("a", "198.51.100.2"), mode="l4-dr"))


@pytest.mark.parametrize(
    ("address", "ours"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), (ELSEWHERE, False), ("2001:db8::1", False)],
)
def test_an_address_of_this_machine_is_told_from_one_elsewhere(address, ours):
    assert is_of_this_machine(address) is ours


def test_a_check_that_is_to_be_plain_is_plain_whatever_its_engine_speaks(planned, identities):
    secured = server("a", "192.0.2.2:443", re_encrypt=True, verify="F", server_name="a.test")
    check = {"kind": "connect", "tls": False}
    (found,) = planned(vip("A", f"{ELSEWHERE}:443", secured, check=check), more=identities, virtual=False)
    assert (found.check.params.tls, found.check.params.ca_file) == (False, None)
