"""The operator's chapters of the demo, on the newer HAProxy; `test_demo_command` runs them on the machine's own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from interop.engines import haproxy_of

from lbkit.errors import WaitRanOut
from lbkit.haproxy.program import HAPROXY
from lbkit.operate.overview import overview
from lbkit.site.naming import vip_of
from lbkit_demo import operations as module
from lbkit_demo.client import VipClient
from lbkit_demo.operations import Held, Stage
from lbkit_demo.shift import operations
from lbkit_demo.site import STATE, SimulatedSite
from lbkit_demo.traffic import SOURCES, Traffic

LABEL, FIRST, SECOND = "EMR_INBOUND", "CLOVERLEAF_OB", "CLOVERLEAF_OB_2"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedSite]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HAPROXY, haproxy_of("2.8").path)
        with SimulatedSite(tmp_path_factory.mktemp("site")) as site:
            patch.setenv(STATE, str(site.state))
            yield site


@pytest.fixture(autouse=True)
def all_up(site: SimulatedSite) -> None:
    """HAProxy has found what an earlier test has mended."""
    deadline = time.monotonic() + 10
    while any(server.health != "up" for view in overview(site.site) for server in view.servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_client_notices_what_an_operator_does_and_all_is_as_before_at_the_end(site: SimulatedSite) -> None:
    told = list(operations(site))
    assert [one.as_dict() for one in told if not one.told] == []
    assert sum(one.requests for one in told) > 1000
    assert {view.colour for view in overview(site.site) if view.vip.mode == "l7-snat"} == {"green"}
    last_successful = [view for view in overview(site.site) if view.vip.persistence.mode == "last-successful"]
    assert [view.stuck_to for view in last_successful] == [view.vip.servers[0].label for view in last_successful]


def test_clients_ask_all_eleven_layer_7_vips(site: SimulatedSite) -> None:
    with Traffic(site.site) as traffic:
        traffic.settle(time.monotonic(), 3)
    labels = {vip.label for vip in site.site.vips if vip.mode == "l7-snat"}
    assert len(labels) == 11
    assert {(one.vip, one.client) for one in traffic.requests} == {
        (vip, client) for vip in labels for client in SOURCES
    }
    assert [one for one in traffic.requests if one.failure] == []


def test_a_client_asks_at_each_port_of_its_vip_in_turn(site: SimulatedSite) -> None:
    vip = vip_of(site.site, "CCW_WEB_8070-49200-49201")
    client = VipClient(site.site, vip, SOURCES[0])
    asked = []
    for _ in vip.ports:
        with client.connect() as connection:
            asked.append(connection.getpeername()[1])
            assert client.ask(connection) in {server.label for server in vip.servers}
    assert asked == list(vip.ports)


def test_requests_that_fail_without_need_are_counted_and_the_step_is_not_told(site: SimulatedSite) -> None:
    first, second = (site.servers[f"{LABEL}/{label}"] for label in (FIRST, SECOND))

    def kill_both() -> list[str]:
        first.become("refused")
        second.become("refused")
        return []

    with Traffic(site.site) as traffic:
        stage = Stage(site.site, traffic)
        step = stage.tell("both die", kill_both, {LABEL: SECOND}, cuts=True)
        first.mend()
        second.mend()
    assert not step.told
    assert {one.vip for one in step.failed} == {LABEL}
    assert step.seen == {LABEL: []}


def test_connections_that_end_are_not_counted_as_living(site: SimulatedSite) -> None:
    with Held(site.site, LABEL) as held:
        assert held.living() == 3
        for label in (FIRST, SECOND):
            site.servers[f"{LABEL}/{label}"].become("refused")
            site.servers[f"{LABEL}/{label}"].mend()
        assert held.living() == 0


def test_what_haproxy_never_finds_ends_the_story_in_a_sentence(
    site: SimulatedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEEN_WITHIN", 0.2)
    with Traffic(site.site) as traffic, pytest.raises(WaitRanOut, match=f"finds {LABEL}/{FIRST} up, not down"):
        Stage(site.site, traffic).tell("nothing", list, {}, until=[(LABEL, FIRST, "down")])
