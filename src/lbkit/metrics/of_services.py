"""What is told of each VIP and of each of its real servers."""

from __future__ import annotations

from typing import get_args

from lbkit.checks.told import ToldOfRows
from lbkit.metrics.rows import ServerRow, VipRow
from lbkit.state.intents import Wanted
from lbkit.state.observed import Condition, Health

OF_A_VIP: ToldOfRows[VipRow] = ToldOfRows()
OF_A_SERVER: ToldOfRows[ServerRow] = ToldOfRows()


@OF_A_VIP.states(
    "lbkit_vip_state",
    "1 for what the VIP is: whole, degraded, down (none serves) or unknown; else 0.",
    "state",
    get_args(Condition),
)
def _state(row: VipRow) -> str:
    return row.condition


@OF_A_VIP.value("lbkit_vip_servers", "How many real servers the VIP has.")
def _servers(row: VipRow) -> int:
    return len(row.servers)


@OF_A_VIP.value("lbkit_vip_servers_up", "How many of its real servers the checks find up.")
def _servers_up(row: VipRow) -> int:
    return sum(one.health == "up" for one in row.servers)


@OF_A_VIP.value("lbkit_vip_connections", "Open connections of its clients.")
def _vip_connections(row: VipRow) -> int | None:
    return None if row.state is None else row.state.connections


@OF_A_VIP.value(
    "lbkit_table_entries", "Entries of its persistence table; on layer 4, clients that are kept on a server."
)
def _entries(row: VipRow) -> int | None:
    return row.entries


@OF_A_VIP.value("lbkit_drift", "How many of its real servers the engine has otherwise than site and operators want.")
def _drift(row: VipRow) -> int | None:
    return row.differing


@OF_A_SERVER.states("lbkit_server_health", "1 for what the checks found, 0 for the others.", "health", get_args(Health))
def _health(row: ServerRow) -> str:
    return row.health


@OF_A_SERVER.states(
    "lbkit_server_intent", "1 for what operators asked for, 0 for the others.", "intent", get_args(Wanted)
)
def _intent(row: ServerRow) -> str:
    return row.intent.wanted if row.intent else "online"


@OF_A_SERVER.value(
    "lbkit_intent_timestamp_seconds", "When an operator asked for it to be out, or for another weight; since the epoch."
)
def _intent_since(row: ServerRow) -> float | None:
    if row.intent and (row.intent.wanted != "online" or row.intent.weight is not None):
        return row.intent.when
    return None


@OF_A_SERVER.value("lbkit_server_effective_weight", "Its weight at this moment; 0: it gets no new clients.")
def _weight(row: ServerRow) -> float | None:
    state = row.state
    if state is None:
        return None
    if not state.serves:
        return 0
    return state.weight if state.share == 1 else round(state.weight * state.share, 3)


@OF_A_SERVER.value("lbkit_server_connections", "Its open connections.")
def _connections(row: ServerRow) -> int | None:
    return None if row.state is None else row.state.connections
