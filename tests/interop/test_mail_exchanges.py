"""How the mail server of a domain is found, without a smart host."""

import socket
import sys

import dns.resolver
import pytest
from interop.mail_server import MailServer, dns_server
from interop.remotes import HOST
from interop.test_mail_servers import send
from unit.mail_site import mail_site

from lbkit.alerts import smtp
from lbkit.alerts.smtp import Carrier


@pytest.fixture
def domains(monkeypatch):
    """What the DNS says of domains."""
    records = {}

    with dns_server(records) as port:

        def pointed():
            one = dns.resolver.Resolver(configure=False)
            one.nameservers, one.port = [HOST], port
            return one

        monkeypatch.setattr("lbkit.alerts.mx.resolver", pointed)
        yield records


@pytest.fixture
def at_port(monkeypatch):
    def those(port):
        monkeypatch.setattr(smtp, "MX_PORT", port)

    return those


def direct(tmp_path):
    site = mail_site(tmp_path)
    return Carrier(site.alerts.model_copy(update={"smart_host": None}))


def test_without_a_smart_host_each_domain_gets_its_own(domains, at_port, tmp_path):
    with MailServer(host="127.0.0.2") as first, MailServer(first.port, host="127.0.0.3") as second:
        at_port(first.port)
        domains |= {"a.example": ["10 127.0.0.2."], "b.example": ["20 127.0.0.3."]}
        outcome = send(direct(tmp_path), "x@a.example", "y@B.example", "z@a.example")
        assert sorted(outcome.taken) == ["x@a.example", "y@B.example", "z@a.example"]
        assert [one.rcpt_tos for one in first.envelopes] == [["x@a.example", "z@a.example"]]
        assert [one.rcpt_tos for one in second.envelopes] == [["y@B.example"]]


def test_the_preferred_server_is_asked_first_and_the_next_where_it_is_away(domains, at_port, tmp_path):
    domains["a.example"] = ["20 127.0.0.3.", "10 127.0.0.2."]
    with MailServer(host="127.0.0.3") as second:
        at_port(second.port)
        with MailServer(second.port, host="127.0.0.2") as first:
            assert send(direct(tmp_path), "x@a.example").taken
            assert (len(first.mails), len(second.mails)) == (1, 0)
        one = direct(tmp_path)
        assert [send(one, "x@a.example").taken for _ in range(3)] == [("x@a.example",)] * 3
        assert len(second.mails) == 3


def test_a_domain_without_mx_is_its_own_mail_server(domains, at_port, tmp_path):
    domains["localhost"] = []
    with MailServer() as server:
        at_port(server.port)
        assert send(direct(tmp_path), "x@localhost").taken


def test_a_domain_that_takes_no_mail_is_refused_for_good(domains, tmp_path):
    domains["a.example"] = ["0 ."]
    assert send(direct(tmp_path), "x@a.example").refused == {"x@a.example": "a.example takes no mail (its MX says so)"}


def test_a_domain_that_the_dns_does_not_know_is_tried_again_and_keeps_no_other(domains, at_port, tmp_path):
    domains["a.example"] = ["10 127.0.0.1."]
    with MailServer() as server:
        at_port(server.port)
        outcome = send(direct(tmp_path), "x@a.example", "y@typo.example")
    assert outcome.taken == ("x@a.example",)
    assert outcome.later == {
        "y@typo.example": "the DNS knows no domain typo.example. Correct the address, or give a smart_host."
    }


def test_a_dns_that_does_not_answer_is_waited_for_so_long_and_no_longer(monkeypatch, tmp_path):
    monkeypatch.setattr("lbkit.alerts.mx._WITHIN", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        one = dns.resolver.Resolver(configure=False)
        one.nameservers, one.port = [HOST], silent.getsockname()[1]
        monkeypatch.setattr("lbkit.alerts.mx.resolver", lambda: one)
        outcome = send(direct(tmp_path), "x@a.example")
    assert "the DNS does not say who takes mail for a.example" in outcome.later["x@a.example"]


def test_a_machine_without_a_dns_is_told_so(monkeypatch, tmp_path):
    def none(*_):
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.resolver.Resolver", none)
    assert "/etc/resolv.conf names no DNS server" in send(direct(tmp_path), "x@a.example").later["x@a.example"]


def test_without_dnspython_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    assert "pip install 'lbkit-core[mail]'" in send(direct(tmp_path), "x@a.example").later["x@a.example"]
