from unit.mail_site import OPS, event, mail_site_of
from unit.site_text import server, vip

from lbkit.alerts.recipients import Route, Routes

LB = "lb@hospital.example"


def routes(folder, **alerts):
    vips = [
        vip("WEB", "192.0.2.1:80", server("a", "192.0.2.7:80")),
        vip("WARD", "192.0.2.1:81", server("a", "192.0.2.7:81"), alert_to="ward@hospital.example"),
        vip("DICOM", "192.0.2.2:104", server("a", "192.0.2.7"), mode="l4-dr"),
        vip("PACS", "192.0.2.2:105", server("a", "192.0.2.7"), mode="l4-dr", alert_to="pacs@hospital.example"),
    ]
    site = mail_site_of(folder, vips, **alerts)
    return Routes(site, site.alerts)


def test_without_more_all_goes_to_one_place_but_what_a_vip_says_itself(tmp_path):
    found = routes(tmp_path)
    assert found.of(event("vip-down", 1, vip="WEB")) == Route(LB, OPS)
    assert found.of(event("server-down", 1, vip="WARD", server="a")) == Route(LB, ("ward@hospital.example",))
    assert found.of(event("server-down", 1, vip="PACS", server="a")) == Route(LB, ("pacs@hospital.example",))
    assert len(found.all) == 3


def test_layers_and_the_pair_have_their_own_where_they_say_so(tmp_path):
    layer_4 = {"to": ["dicom@hospital.example"], "sender": "lb4@hospital.example"}
    found = routes(
        tmp_path, layer_4=layer_4, layer_7={"sender": "lb7@hospital.example"}, pair={"to": ["n@hospital.example"]}
    )
    assert found.of(event("vip-down", 1, vip="DICOM")) == Route("lb4@hospital.example", ("dicom@hospital.example",))
    assert found.of(event("vip-down", 1, vip="PACS")) == Route("lb4@hospital.example", ("pacs@hospital.example",))
    assert found.of(event("vip-down", 1, vip="WEB")) == Route("lb7@hospital.example", OPS)
    for kind in ("failover", "peer-lost", "peer-found", "split-brain", "split-brain-ended"):
        assert found.of(event(kind, 1)) == Route(LB, ("n@hospital.example",))


def test_what_is_about_no_vip_or_about_one_that_is_gone_goes_where_all_goes(tmp_path):
    found = routes(tmp_path, layer_4={"to": ["dicom@hospital.example"]})
    assert found.of(event("drift-found", 1)) == Route(LB, OPS)
    assert found.of(event("vip-down", 1, vip="GONE")) == Route(LB, OPS)
