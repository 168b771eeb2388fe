"""A real SCP, pynetdicom's, for what a DICOM server says of its own accord."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import contextmanager, suppress
from socketserver import BaseServer
from typing import TYPE_CHECKING

from lbkit_demo.pdus import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from lbkit_demo.remote import LOOPBACK, Address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynetdicom.association import Association
    from pynetdicom.events import EventHandlerType

TITLE = "LB-SCP"
STOP_POLL = 0.05  # seconds; AE.start_server polls every 0.5, which is as long as it then takes to stop
ENDS_WITHIN = 0.5  # seconds in which associations notice that their connections have ended


@contextmanager
def scp(
    port: int = 0,
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
    entity.acse_timeout = 5  # seconds; so long does a thread wait for a request, even after its client has gone
    entity.require_called_aet = title != TITLE
    entity.require_calling_aet = list(known_callers)
    entity.add_supported_context(abstract_syntax, list(transfer_syntaxes))
    handlers: list[EventHandlerType] = [(evt.EVT_C_ECHO, lambda _: status)]
    server = entity.make_server((LOOPBACK, port), evt_handlers=handlers, server_class=ThreadedAssociationServer)
    thread = threading.Thread(target=server.serve_forever, args=[STOP_POLL], name="scp", daemon=True)
    thread.start()
    try:
        yield LOOPBACK, server.server_address[1]
    finally:
        BaseServer.shutdown(server)  # the server's own insists on having been started by AE.start_server
        server.server_close()
        thread.join()
        associations = server.active_associations
        for association in associations:
            _hang_up(association)
        deadline = time.monotonic() + ENDS_WITHIN
        for association in associations:
            association.join(max(0.0, deadline - time.monotonic()))


def _hang_up(association: Association) -> None:
    """End its connection. `AE.shutdown` would abort it, which in a state without association is a traceback."""
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        with suppress(OSError):
            transport.socket.shutdown(socket.SHUT_RDWR)
