"""An operator's shift, step by step: the plot of the chapters in which clients must notice nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbkit_demo.operations import Held, Operation, Stage
from lbkit_demo.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lbkit.operate.outcome import Done
    from lbkit_demo.site import SimulatedSite

NOTIFICATION, EMR = "CCW_NOTIFICATION", "EMR_INBOUND"
DICOM = ("CCW_DICOM_1115", "DICOM_Server_2")
APP_1, APP_2 = "CCW_App_Server_1", "CCW_App_Server_2"
APP_VIPS = ("CCW_WEB_443", "CCW_WEB_8443", "CCW_WEB_44301", "CCW_WEB_8070-49200-49201", NOTIFICATION)
CCG, PORT_CCG = "CCG_IB_2101", "PORT_CCG_IB_2103"  # they share their real servers, and each has a table of its own
KILLED = ("CCG_IB_2101/CCW_INT_5001", "PORT_CCG_IB_2103/Port_CCW_5001")


def operations(simulated: SimulatedSite) -> Iterator[Operation]:
    """Step after step, while all clients ask. At its end every server is online, and every VIP is on its first one.

    Intents go where LBKIT_STATE says. Raises LbkitError where an operation fails.
    """
    with Traffic(simulated.site) as traffic:
        stage = Stage(simulated.site, traffic)
        first = {
            vip.label: vip.servers[0].label for vip in simulated.site.vips if vip.persistence.mode == "last-successful"
        }
        yield stage.tell("nothing is done: two clients for each of the eleven VIPs", list, first)
        yield from _a_server_dies(stage, simulated)
        yield from _a_server_is_serviced(stage)
        yield from _a_server_is_halted(stage)
        yield from _a_dicom_server_hangs_up(stage, simulated)
        yield stage.tell("nothing is done: all is as it was", list, first)


def _a_server_dies(stage: Stage, simulated: SimulatedSite) -> Iterator[Operation]:
    from lbkit.operate.tables import clear, pin

    server = simulated.servers[KILLED[0]]
    names = [(vip, label) for vip, _, label in (name.partition("/") for name in KILLED)]
    second = {CCG: "CCW_INT_5001_2", PORT_CCG: "Port_CCW_5001_2"}

    def kill() -> list[str]:
        server.become("refused")
        return [f"{' and '.join(KILLED)} take no connections any more"]

    def mend() -> list[str]:
        server.mend()
        return ["it is up again, and its VIPs stay where they last had success"]

    yield stage.tell("a server dies", kill, second, until=[(*one, "down") for one in names], cuts=True)
    yield stage.tell("it comes back", mend, second, until=[(*one, "up") for one in names])
    yield stage.tell(
        f"lbkit pin {CCG} --first",
        lambda: _said([pin(stage.site, CCG, first=True)]),
        second | {CCG: "CCW_INT_5001"},
    )
    yield stage.tell(
        f"lbkit clear-table {PORT_CCG}",
        lambda: _said([clear(stage.site, PORT_CCG)]),
        {CCG: "CCW_INT_5001", PORT_CCG: "Port_CCW_5001"},
    )


def _a_server_is_serviced(stage: Stage) -> Iterator[Operation]:
    """Drained in all of its VIPs; HAProxy is reloaded meanwhile."""
    from lbkit.operate.asked import Asked
    from lbkit.operate.drain import drain
    from lbkit.operate.online import online
    from lbkit.operate.reload import reload
    from lbkit.operate.tables import pin

    everywhere = Asked(None, APP_1, why="Windows updates")
    moved = dict.fromkeys(APP_VIPS, APP_2)
    with Held(stage.site, NOTIFICATION) as held:
        yield stage.tell(
            f"lbkit drain {APP_1} --all-vips --sticky move",
            lambda: _said(drain(stage.site, everywhere, move_sticky=True)),
            moved,
            held=held,
        )
        yield stage.tell("lbkit reload", lambda: reload(stage.site).steps, moved, held=held)
        yield stage.tell(
            f"lbkit online {APP_1} --all-vips",
            lambda: _said(online(stage.site, everywhere)),
            {NOTIFICATION: APP_2},
            until=[(vip, APP_1, "up") for vip in APP_VIPS],
            held=held,
        )
    yield stage.tell(
        f"lbkit pin {NOTIFICATION} --first",
        lambda: _said([pin(stage.site, NOTIFICATION, first=True)]),
        {NOTIFICATION: APP_1},
    )


def _a_server_is_halted(stage: Stage) -> Iterator[Operation]:
    from lbkit.operate.asked import Asked
    from lbkit.operate.halt import halt
    from lbkit.operate.online import online
    from lbkit.operate.tables import pin

    asked = Asked(EMR, "CLOVERLEAF_OB")
    with Held(stage.site, EMR) as held:
        yield stage.tell(
            f"lbkit halt {EMR} CLOVERLEAF_OB",
            lambda: _said(halt(stage.site, asked)),
            {EMR: "CLOVERLEAF_OB_2"},
            cuts=True,
            held=held,
        )
    yield stage.tell(
        f"lbkit online {EMR} CLOVERLEAF_OB",
        lambda: _said(online(stage.site, asked)),
        {EMR: "CLOVERLEAF_OB_2"},
        until=[(EMR, "CLOVERLEAF_OB", "up")],
    )
    yield stage.tell(
        f"lbkit pin {EMR} --first", lambda: _said([pin(stage.site, EMR, first=True)]), {EMR: "CLOVERLEAF_OB"}
    )


def _a_dicom_server_hangs_up(stage: Stage, simulated: SimulatedSite) -> Iterator[Operation]:
    """Layer 4: there is no IPVS here, but the agent watches."""
    server = simulated.servers["/".join(DICOM)]

    def break_it() -> list[str]:
        server.become("closed-at-echo")
        return ["it takes associations, and hangs up when it is to work"]

    def mend() -> list[str]:
        server.mend()
        return ["the agent finds it up again"]

    name = " of ".join(reversed(DICOM))
    yield stage.tell(f"{name} fails: the agent sees it", break_it, {}, until=[(*DICOM, "down")])
    yield stage.tell("it is mended", mend, {}, until=[(*DICOM, "up")])


def _said(done: list[Done]) -> list[str]:
    return [step for one in done for step in one.steps]
