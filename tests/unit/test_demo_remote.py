"""What simulated remotes stand on: one thread that accepts, scripts that end with their remote, relays."""

import socket
import threading
import time

import pytest

from lbkit_demo.acceptor import Acceptor
from lbkit_demo.acts import pause, say
from lbkit_demo.place import LOOPBACK, Place
from lbkit_demo.relay import relay
from lbkit_demo.remote import MOST_CLIENTS, scripted


def connect(address):
    return socket.create_connection(address, timeout=5)


def acceptors():
    return [thread for thread in threading.enumerate() if thread.name == "acceptor"]


def test_one_thread_waits_for_all_listeners_and_ends_with_the_last():
    before = len(acceptors())
    acceptor = Acceptor()
    with socket.create_server((LOOPBACK, 0)) as first, socket.create_server((LOOPBACK, 0)) as second:
        acceptor.watch(first, lambda: None)
        acceptor.watch(second, lambda: None)
        assert len(acceptors()) == before + 1
        acceptor.forget(first)
        assert len(acceptors()) == before + 1
        acceptor.forget(second)
        assert len(acceptors()) == before


def test_a_listener_is_called_while_it_is_watched_and_not_after():
    acceptor = Acceptor()
    called = threading.Event()
    with socket.create_server((LOOPBACK, 0)) as listener, socket.create_server((LOOPBACK, 0)) as other:
        acceptor.watch(other, lambda: None)  # keeps the thread alive
        for _ in range(2):
            acceptor.watch(listener, lambda: (listener.accept()[0].close(), called.set()))
            with connect(listener.getsockname()):
                assert called.wait(5)
            called.clear()
            acceptor.forget(listener)
        with connect(listener.getsockname()):
            acceptor.forget(other)
        assert not called.is_set()


def test_a_pause_ends_with_its_remote():
    start = time.monotonic()
    with scripted((say(b"begun"), pause(50.0))) as address, connect(address) as client:
        assert client.recv(5) == b"begun"
    assert time.monotonic() - start < 20


def test_a_remote_takes_no_more_clients_than_it_has_threads_for():
    with scripted((say(b"served"),)) as address:
        clients = [connect(address) for _ in range(MOST_CLIENTS + 1)]
        answers = [client.recv(6) for client in clients]
        for client in clients:
            client.close()
    assert answers == [b"served"] * MOST_CLIENTS + [b""]


def test_a_relay_passes_on_both_ways_until_both_have_ended():
    def echo(client):
        while data := client.connection.recv(4096):
            client.say(data.upper())
        client.say(b"bye")
        client.close()

    with scripted((echo,)) as server, scripted((relay([server]),)) as vip, connect(vip) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"HELLO"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(3) == b"bye"
        assert client.recv(1) == b""


def test_a_relay_without_a_server_that_takes_connections_closes():
    with scripted((say(b""),)) as gone:
        pass
    with scripted((relay([gone]),)) as vip, connect(vip) as client:
        assert client.recv(1) == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.99.9"])
def test_a_remote_stands_where_it_is_told(host):
    with scripted((say(b"here"),), Place(host)) as address, connect(address) as client:
        assert address[0] == host
        assert client.recv(4) == b"here"
