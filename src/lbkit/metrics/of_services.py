"""What is told of each VIP and of each of its real servers."""

from __future__ import annotations

from typing import get_args

from lbkit.metrics.rows import ServerRow, VipRow
from lbkit.metrics.told import Samples, Told, state_set
from lbkit.state.intents import Wanted
from lbkit.state.observed import Condition, Health

_CONDITIONS, _HEALTHS, _WANTED = get_args(Condition), get_args(Health), get_args(Wanted)

OF_A_VIP: Told[VipRow] = Told()
OF_A_SERVER: Told[ServerRow] = Told()


@OF_A_VIP.metric("lbkit_vip_state", "1 for what the VIP is: whole, degraded, down (none serves) or unknown; else 0.")
def _state(row: VipRow) -> Samples:
    return state_set(row.named, "state", _CONDITIONS, row.condition)


@OF_A_VIP.metric("lbkit_vip_servers", "How many real servers the VIP has.")
def _servers(row: VipRow) -> Samples:
    yield row.named, len(row.servers)


@OF_A_VIP.metric("lbkit_vip_servers_up", "How many of its real servers the checks find up.")
def _servers_up(row: VipRow) -> Samples:
    yield row.named, sum(one.health == "up" for one in row.servers)


@OF_A_VIP.metric("lbkit_vip_connections", "Open connections of its clients.")
def _vip_connections(row: VipRow) -> Samples:
    if row.state is not None:
        yield row.named, row.state.connections


@OF_A_VIP.metric(
    "lbkit_table_entries", "Entries of its persistence table; on layer 4, clients that are kept on a server."
)
def _entries(row: VipRow) -> Samples:
    if row.entries is not None:
        yield row.named, row.entries


@OF_A_VIP.metric("lbkit_drift", "How many of its real servers the engine has otherwise than site and operators want.")
def _drift(row: VipRow) -> Samples:
    if row.differing is not None:
        yield row.named, row.differing


@OF_A_SERVER.metric("lbkit_server_health", "1 for what the checks found, 0 for the others.")
def _health(row: ServerRow) -> Samples:
    return state_set(row.named, "health", _HEALTHS, row.health)


@OF_A_SERVER.metric("lbkit_server_intent", "1 for what operators asked for, 0 for the others.")
def _intent(row: ServerRow) -> Samples:
    return state_set(row.named, "intent", _WANTED, row.intent.wanted if row.intent else "online")


@OF_A_SERVER.metric(
    "lbkit_intent_timestamp_seconds", "When an operator asked for it to be out, or for another weight; since the epoch."
)
def _intent_since(row: ServerRow) -> Samples:
    if row.intent and (row.intent.wanted != "online" or row.intent.weight is not None):
        yield row.named, row.intent.when


@OF_A_SERVER.metric("lbkit_server_effective_weight", "Its weight at this moment; 0: it gets no new clients.")
def _weight(row: ServerRow) -> Samples:
    if row.state is not None:
        yield row.named, round(row.state.weight * row.state.share, 3) if row.state.serves else 0


@OF_A_SERVER.metric("lbkit_server_connections", "Its open connections.")
def _connections(row: ServerRow) -> Samples:
    if row.state is not None:
        yield row.named, row.state.connections
