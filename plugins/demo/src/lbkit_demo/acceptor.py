"""One thread that waits for connections at every listener of this process. It lives while there is one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from select import EPOLLIN, epoll
from socket import socket


class Acceptor:
    """Calls whoever owns a listener when a connection waits there; the call must not block, nor come back here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held during calls, so that none is under way once `forget` has returned
        self._calls: dict[int, Callable[[], object]] = {}
        self._thread: _Waiting | None = None

    def watch(self, listener: socket, call: Callable[[], object]) -> None:
        """From now on `call` whenever a connection waits at this listener, which must not block."""
        with self._lock:
            if self._thread is None:
                self._thread = _Waiting(self._act)
            self._calls[listener.fileno()] = call
            self._thread.epoll.register(listener, EPOLLIN)

    def forget(self, listener: socket) -> None:
        """To be called before the listener is closed. The last one ends the thread."""
        with self._lock:
            del self._calls[listener.fileno()]
            thread = self._thread
            if thread is None:
                return
            thread.epoll.unregister(listener)
            if self._calls:
                return
            self._thread = None
        thread.end()

    def _act(self, files: list[int]) -> None:
        with self._lock:
            for file in files:
                call = self._calls.get(file)
                if call is not None:
                    call()


class _Waiting(threading.Thread):
    def __init__(self, act: Callable[[list[int]], None]) -> None:
        super().__init__(name="acceptor", daemon=True)
        self.epoll = epoll()
        self._act = act
        self._ending = os.eventfd(0)
        self.epoll.register(self._ending, EPOLLIN)
        self.start()

    def run(self) -> None:
        while self._ending not in (ready := [file for file, _ in self.epoll.poll()]):
            self._act(ready)

    def end(self) -> None:
        os.eventfd_write(self._ending, 1)
        self.join()
        self.epoll.close()
        os.close(self._ending)


ACCEPTOR = Acceptor()
