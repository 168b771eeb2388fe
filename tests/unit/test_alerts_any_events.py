"""Incidents, whatever events come in whatever order."""

import json
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.mail_site import A, B, event, mail_site

from lbkit.alerts.incident import BEGINS
from lbkit.alerts.incidents import Incidents
from lbkit.alerts.recipients import Routes

GATHER = 10.0
T = 1_000_000.0
KINDS = ["server-down", "server-up", "vip-down", "vip-degraded", "vip-recovered", "peer-lost", "peer-found", "failover"]
ENDS = {"server-up": "server-down", "vip-recovered": "vip-down", "vip-degraded": "vip-down", "peer-found": "peer-lost"}
HAPPENS = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(["WEB", "DICOM"]),
    st.sampled_from([("a1", A), ("b1", B), ("c1", A)]),
    st.sampled_from([0, 1, 3, 5, 9, 10, 11, 25]),  # seconds later
    st.sampled_from(["", "", "", "again", "removed", "reread", "passive", "active"]),
)


def happening(kind, vip, server, when, ident, removed):
    if kind.startswith("server"):
        more = {"vip": vip, "server": server[0], "address": server[1], "reason": "removed" if removed else ""}
    else:
        more = {"vip": vip} if kind.startswith("vip") else {}
    return event(kind, when, ident=ident, **more)


@settings(deadline=None)  # the first reads a site
@given(st.lists(HAPPENS, max_size=60))
def test_whatever_happens_each_incident_has_one_beginning_and_at_most_one_end(tmp_path_factory, happens):
    site = SITES.setdefault(
        "one", mail_site(tmp_path_factory.mktemp("site"), layer_4={"to": ["dicom@hospital.example"]})
    )
    routes = Routes(site, site.alerts)
    incidents, now, active, idents = Incidents(GATHER, routes), T, True, count()
    open_threads, begun, was_passive, due, is_down = {}, set(), False, [], set()

    def take(*events):
        for one in incidents.take(events, now, active):
            due.append(one)
            assert active
            for incident in one.incidents:
                whose = next(iter(incident.first.values())).ident
                if one.what == "begin":
                    assert whose not in open_threads
                    assert incident.open or incident.again >= 3
                    assert incident.thread == one.ident or not incident.has_end
                    if incident.has_end:
                        open_threads[whose] = one.ident
                else:
                    assert not incident.open
                    assert incident.back + incident.calm <= now
                    assert was_passive or open_threads[whose] == incident.thread
                    open_threads.pop(whose, None)

    for kind, vip, server, later, how in happens:
        now += later
        active = {"passive": False, "active": True}.get(how, active)
        if not active:
            was_passive = True
            open_threads.clear()
        one = happening(kind, vip, server, now, f"{next(idents):04}", how == "removed")
        if kind in BEGINS and (kind, one.about) in is_down:
            continue  # nobody sees it twice
        is_down = (is_down | {(kind, one.about)}) - {(ENDS.get(kind), one.about)}
        if how == "removed" and kind == "server-up":
            open_threads.clear()
            was_passive = True  # it ends without a word
        take(one)
        if how == "again":
            take(one)
        if how == "reread":
            values = json.loads(json.dumps(incidents.as_dict()))
            incidents = Incidents.of(values, GATHER, routes)
            assert incidents.as_dict() == values
    now += 10_000
    take()
    begun = [one.ident for one in due]
    assert len(begun) == len(set(begun))
    assert all(one["told"] and one["open"] for one in incidents.as_dict()["incidents"])
    assert incidents.next == float("inf")
    assert incidents._places == sum(len(one["first"]) for one in incidents.as_dict()["incidents"])


SITES = {}
