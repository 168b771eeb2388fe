"""A real SCP, pynetdicom's, for what a DICOM server says of its own accord."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lbkit_demo.acceptor import ACCEPTOR
from lbkit_demo.pdus import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from lbkit_demo.place import ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType

    from lbkit_demo.place import Address, Place

TITLE = "LB-SCP"
ENDS_WITHIN = 0.5  # seconds in which associations notice that their connections have ended


@contextmanager
def scp(
    place: Place = ANYWHERE,
    *,
    title: str = TITLE,
    known_callers: tuple[str, ...] = (),
    abstract_syntax: str = VERIFICATION,
    transfer_syntaxes: tuple[str, ...] = (IMPLICIT_VR_LE, EXPLICIT_VR_LE),
    status: int = 0x0000,
) -> Iterator[Address]:
    """Serve one SOP class; a title other than `TITLE` is insisted on, and so are known callers where there are any."""
    from pynetdicom import AE, evt  # takes 0.4 s, which only a server that runs should cost
    from pynetdicom.transport import ThreadedAssociationServer

    logging.getLogger("pynetdicom").propagate = False
    entity = AE(title)
    entity.acse_timeout = 5  # seconds for a client to ask for its association
    entity.require_called_aet = title != TITLE
    entity.require_calling_aet = list(known_callers)
    entity.add_supported_context(abstract_syntax, list(transfer_syntaxes))
    handlers: list[EventHandlerType] = [(evt.EVT_C_ECHO, lambda _: status), (evt.EVT_CONN_CLOSE, _stop_waiting)]
    server = entity.make_server(place.address, evt_handlers=handlers, server_class=ThreadedAssociationServer)
    listener: socket.socket = server.socket  # type: ignore[assignment]  # None only before it is made
    listener.setblocking(False)  # so that `handle_request` waits for nobody
    ACCEPTOR.watch(listener, server.handle_request)
    try:
        yield listener.getsockname()
    finally:
        ACCEPTOR.forget(listener)
        server.server_close()
        associations = server.active_associations
        for association in associations:
            _hang_up(association)
        deadline = time.monotonic() + ENDS_WITHIN
        for association in associations:
            association.join(max(0.0, deadline - time.monotonic()))


def _stop_waiting(event: Event) -> None:
    """Wake the thread that waits for the request of a client that has gone: it would do so for all of `acse_timeout`."""
    dul = event.assoc.dul
    if dul.state_machine.current_state == "Sta2":  # awaiting A-ASSOCIATE-RQ (PS3.8 section 9.2.2)
        waiting: Any = dul.to_user_queue  # declared without the None that its readers take for "nothing came"
        waiting.put(None)


def _hang_up(association: Association) -> None:
    """End its connection. `AE.shutdown` would abort it, which in a state without association is a traceback."""
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        with suppress(OSError):
            transport.socket.shutdown(socket.SHUT_RDWR)
