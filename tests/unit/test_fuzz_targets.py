"""The fuzz targets stay alive: each is run over its own seeds, without the fuzzer."""

import importlib.util
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"


def target(name):
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pdu_reader():
    return target("pdu_reader")


def test_the_seeds_of_pdu_reader_reach_every_step_and_break_no_rule(pdu_reader, monkeypatch):
    seen = []
    judge = pdu_reader.judge
    monkeypatch.setattr(pdu_reader, "judge", lambda outcome: (seen.append(outcome), judge(outcome)))
    seeds = pdu_reader.seeds()
    assert len(set(seeds)) == len(seeds)
    for seed in seeds:
        pdu_reader.one_input(seed)
    assert {outcome.up for outcome in seen} == {True, False}
    reasons = {"ok", "not-dicom", "protocol-error", "rejected-transient", "aborted", "closed", "timed-out", "reset"}
    assert reasons <= {outcome.reason for outcome in seen}


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"\5\1", b"\1\0\2"])
def test_pdu_reader_takes_the_shortest_inputs(pdu_reader, data):
    pdu_reader.one_input(data)


def test_pdu_reader_finds_a_verification_that_never_ends_or_says_what_does_not_print(pdu_reader, monkeypatch):
    def endless(terms):
        while True:
            yield "associate", b""

    monkeypatch.setattr(pdu_reader, "verification", endless)
    with pytest.raises(AssertionError, match="waits at associate for more than 1048576 bytes"):
        pdu_reader.one_input(b"\0\0x")
    outcome = pdu_reader.Outcome(False, "not-dicom", "a\x1bb", "associate")
    with pytest.raises(AssertionError):
        pdu_reader.judge(outcome)


@pytest.fixture(scope="module")
def http_answer():
    return target("http_answer")


def test_the_seeds_of_http_answer_reach_every_step_and_break_no_rule(http_answer, monkeypatch):
    seen = []
    judge = http_answer.judge
    monkeypatch.setattr(http_answer, "judge", lambda outcome: (seen.append(outcome), judge(outcome)))
    seeds = http_answer.seeds()
    assert len(set(seeds)) == len(seeds)
    for seed in seeds:
        http_answer.one_input(seed)
    assert {outcome.step for outcome in seen} == {"request", "status", "body"}
    ways = {"not-http", "protocol-error", "http-status", "redirected", "body", "body-too-large", "content-encoding"}
    assert {"ok", "closed", "timed-out", "reset"} | ways == {outcome.reason for outcome in seen}


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"\5\1", b"\1\0\2"])
def test_http_answer_takes_the_shortest_inputs(http_answer, data):
    http_answer.one_input(data)


def test_http_answer_finds_an_exchange_that_never_ends_or_hangs_on_its_chunks(http_answer, monkeypatch):
    def endless(terms, host, port):
        while True:
            yield "request", b""

    def by_chunks(terms, host, port):
        received = yield "request", b""
        return http_answer.Outcome(True, "ok", str(len(received)), str(len(received)))

    monkeypatch.setattr(http_answer, "exchange", endless)
    with pytest.raises(AssertionError, match="waits at request for more than 1048576 bytes"):
        http_answer.one_input(b"\0\0x")
    monkeypatch.setattr(http_answer, "exchange", by_chunks)
    with pytest.raises(AssertionError, match="'2'"):
        http_answer.one_input(b"\0\0xy")
    with pytest.raises(AssertionError):
        http_answer.judge(http_answer.Outcome(False, "not-http", "a\x1bb", "request"))


@pytest.fixture(scope="module")
def haproxy_replies():
    return target("haproxy_replies")


def test_the_seeds_of_haproxy_replies_are_read_and_refused_by_every_reader(haproxy_replies, monkeypatch):
    seen = {name: set() for name in haproxy_replies.READERS}
    read = haproxy_replies.read

    def watched(name, text):
        found = read(name, text)
        seen[name].add(isinstance(found, haproxy_replies.EngineError))
        return found

    monkeypatch.setattr(haproxy_replies, "read", watched)
    for seed in haproxy_replies.seeds():
        haproxy_replies.one_input(seed)
    assert all(False in results for name, results in seen.items() if name not in ("several", "refused"))
    assert True in seen["show-stat"] & seen["show-table-b"] & seen["refused"] & seen["several"]


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"\5\1", b"\6\1\n"])
def test_haproxy_replies_takes_the_shortest_inputs(haproxy_replies, data):
    haproxy_replies.one_input(data)


def test_haproxy_replies_finds_another_exception_and_a_table_that_hangs_on_its_chunks(haproxy_replies, monkeypatch):
    monkeypatch.setitem(haproxy_replies.READERS, "show-info", lambda text: int(text))
    with pytest.raises(ValueError, match="invalid literal"):
        haproxy_replies.one_input(b"\0\0x")
    monkeypatch.setattr(haproxy_replies, "table", len)
    number = list(haproxy_replies.READERS).index("show-table-b")
    with pytest.raises(AssertionError):
        haproxy_replies.one_input(bytes((number, 1)) + b"\n\n")
    with pytest.raises(AssertionError):
        haproxy_replies.judge(haproxy_replies.EngineError("a\x1bb"))


@pytest.fixture(scope="module")
def ipvs_replies():
    return target("ipvs_replies")


def test_the_seeds_of_ipvs_replies_are_read_and_refused_by_every_reader(ipvs_replies, monkeypatch):
    seen = {reader: set() for reader in ipvs_replies.READERS}
    read = ipvs_replies.read

    def watched(reader, datagram, sequence):
        found = read(reader, datagram, sequence)
        seen[reader] |= {isinstance(one, ipvs_replies.EngineError) for one in found}
        return found

    monkeypatch.setattr(ipvs_replies, "read", watched)
    for seed in ipvs_replies.seeds():
        ipvs_replies.one_input(seed)
    assert list(seen.values()) == [{True, False}] * len(seen)


@pytest.mark.parametrize("data", [b"", b"\0", b"\1\0", b"\4" + bytes(16)])
def test_ipvs_replies_takes_the_shortest_inputs(ipvs_replies, data):
    ipvs_replies.one_input(data)


def test_ipvs_replies_finds_another_exception_and_what_does_not_print(ipvs_replies, monkeypatch):
    with pytest.raises(AssertionError):
        ipvs_replies.judge(ipvs_replies.EngineError("a\x1bb"))
    with pytest.raises(AssertionError):
        ipvs_replies.judge(
            ipvs_replies.SeenService(ipvs_replies.Service(ipvs_replies.Virtual("192.0.2.1", 1), "a\x1bb"))
        )
    monkeypatch.setattr(ipvs_replies, "READERS", [lambda body: body[9999]])
    with pytest.raises(IndexError):
        ipvs_replies.one_input(ipvs_replies.seeds()[0])


@pytest.fixture(scope="module")
def vrrp_adverts():
    return target("vrrp_adverts")


def test_the_seeds_of_vrrp_adverts_are_read_and_passed_over_by_every_reader(vrrp_adverts, monkeypatch):
    seen = {"read": set(), "told": set(), "claimed": set()}

    def watched(module, name):
        read = getattr(module, name)

        def reading(*given):
            found = read(*given)
            seen[name].add(found is None)
            return found

        monkeypatch.setattr(module, name, reading)

    watched(vrrp_adverts.adverts, "read")
    watched(vrrp_adverts.fifo, "told")
    watched(vrrp_adverts.doubles, "claimed")
    for seed in vrrp_adverts.seeds():
        vrrp_adverts.one_input(seed)
    assert list(seen.values()) == [{True, False}] * 3


@pytest.mark.parametrize("data", [b"", b"\0", b"\1\0", b"\2" + bytes(50)])
def test_vrrp_adverts_takes_the_shortest_inputs(vrrp_adverts, data):
    vrrp_adverts.one_input(data)


def test_vrrp_adverts_finds_another_exception_and_values_that_can_not_be(vrrp_adverts, monkeypatch):
    monkeypatch.setattr(vrrp_adverts.adverts, "read", lambda packet: packet[9999])
    with pytest.raises(IndexError):
        vrrp_adverts.one_input(b"\0")
    monkeypatch.setattr(vrrp_adverts.doubles, "claimed", lambda frame, address: b"12345")
    with pytest.raises(AssertionError):
        vrrp_adverts.one_input(b"\2")
