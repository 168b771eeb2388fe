"""What is told of a node as a whole: its agent, its pair, certificates, events, checks that failed."""

from __future__ import annotations

from typing import get_args

from lbkit.checks.told import Samples, Told, labels, state_set
from lbkit.metrics.figures import Figures
from lbkit.metrics.rows import named_server
from lbkit.state.events import EventKind
from lbkit.state.pair import Role

OF_A_NODE: Told[Figures] = Told()
_metric = OF_A_NODE.metric


@_metric("lbkit_build_info", "1, with the version of lbkit.")
def _build(figures: Figures) -> Samples:
    yield labels({"version": figures.version}), 1


@_metric("lbkit_agent_lag_seconds", "How late the agent's loop was, at the 99th percentile of the last minute.")
def _lag(figures: Figures) -> Samples:
    yield "", figures.state.lag


@_metric("lbkit_agent_trouble", "1 where something keeps the agent from its work, else 0.")
def _agent_trouble(figures: Figures) -> Samples:
    yield "", int(bool(figures.state.trouble))


@_metric("lbkit_reconcile_duration_seconds", "How long it took last to bring IPVS to what is wanted.")
def _reconcile(figures: Figures) -> Samples:
    if figures.reconciled is not None:
        yield "", figures.reconciled


@_metric("lbkit_pair_role", "1 for the role that this node has in its pair, 0 for the others.")
def _role(figures: Figures) -> Samples:
    if pair := figures.state.pair:
        yield from state_set(labels({"node": pair.node}), "role", get_args(Role), pair.role)


@_metric(
    "lbkit_pair_peer_role",
    "The same of the other node, as its agent says; while that is silent, master if its VRRP adverts are heard.",
)
def _peer_role(figures: Figures) -> Samples:
    pair, of_site = figures.state.pair, figures.site.pair
    if pair is None or of_site is None:
        return
    role, heard = pair.peer.role, pair.peer.advert_age
    if pair.peer.trouble:
        role = "master" if heard is not None and heard <= 3 * of_site.advert_interval + 1 else "unknown"
    for other in [node.name for node in of_site.nodes if node.name != pair.node]:
        yield from state_set(labels({"node": other}), "role", get_args(Role), role)


@_metric("lbkit_pair_peer_reachable", "Whether the other node's agent answers (1) or not (0).")
def _peer_reachable(figures: Figures) -> Samples:
    if pair := figures.state.pair:
        yield "", int(not pair.peer.trouble and pair.peer.answer_age is not None)


@_metric("lbkit_pair_split_brain", "1 where both nodes are held to be master, else 0.")
def _split_brain(figures: Figures) -> Samples:
    if pair := figures.state.pair:
        yield "", int(bool(pair.split_brain))


@_metric("lbkit_pair_can_serve", "Whether this node serves the VIPs, or could take them over (1), or not (0).")
def _can_serve(figures: Figures) -> Samples:
    if pair := figures.state.pair:
        yield "", int(pair.can_serve)


@_metric(
    "lbkit_certificate_expiry_timestamp_seconds",
    "When a certificate ends, the first issuer in its file (issuer), or the first of a family's CAs (ca) or revocation "
    "lists (crl); since the epoch.",
)
def _expiries(figures: Figures) -> Samples:
    for kind, name, when in figures.expiries:
        yield labels({"kind": kind, "name": name}), when


@_metric("lbkit_events_total", "Events since the agent started, by kind.", "counter")
def _events(figures: Figures) -> Samples:
    for kind in get_args(EventKind):
        yield labels({"kind": kind}), figures.state.counters.get(kind, 0)


@_metric("lbkit_receiver_trouble", "1 where something keeps a receiver from taking events, else 0.")
def _receivers(figures: Figures) -> Samples:
    for name, trouble in figures.state.receivers.items():
        yield labels({"receiver": name}), int(bool(trouble))


@_metric(
    "lbkit_check_failures_total",
    "Checks that found a real server down, or could not be run, by reason: a server's first 8 reasons, then other.",
    "counter",
)
def _failures(figures: Figures) -> Samples:
    for place, counts in figures.failures.items():
        for reason, count in counts.items():
            yield f"{named_server(*place)},{labels({'reason': reason})}", count
