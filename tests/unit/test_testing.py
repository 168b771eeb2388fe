"""What lbkit.testing gives to authors of checks; `play` and `splits` are tried in test_conversation."""

import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from unit.remotes import replies

from lbkit.testing import Listener


def connected(remote):
    return socket.create_connection((remote.host, remote.port), timeout=5)


def test_a_listener_plays_its_script_to_each_who_connects(listener):
    remote = listener(replies(b"one", b"two"))
    assert remote.target == f"127.0.0.1:{remote.port}"
    for _ in range(2):
        with connected(remote) as client:
            for answer in (b"one", b"two"):
                client.sendall(b"?")
                assert client.recv(100) == answer
    assert remote.accepted == 2


def test_the_connection_ends_with_the_script(listener):
    with connected(listener(lambda client: client.sendall(b"bye"))) as client:
        assert client.recv(100) == b"bye"
        assert client.recv(100) == b""


def test_a_listener_that_is_closed_ends_what_is_open_and_refuses():
    with Listener(replies(b"one", b"never")) as remote, connected(remote) as client:
        client.sendall(b"?")
        assert client.recv(100) == b"one"
        remote.close()
        assert client.recv(100) == b""
        with pytest.raises(ConnectionRefusedError):
            connected(remote)


def test_what_a_script_asserts_fails_the_test():
    def script(client):
        assert client.recv(100) == b"what it should have said"

    remote = Listener(script)
    with connected(remote) as client:
        client.sendall(b"what it said")
        assert client.recv(100) == b""
    with pytest.raises(AssertionError, match="what it should have said"):
        remote.close()


def test_a_client_that_leaves_early_is_no_failure_of_the_script():
    def script(client):
        while True:
            client.sendall(b"." * 65536)

    with Listener(script) as remote:
        connected(remote).close()


def test_identities_are_files_that_openssl_takes(throwaway_ca):
    context = ssl.create_default_context(cafile=throwaway_ca.ca_file)
    for identity in (throwaway_ca.server, throwaway_ca.client, throwaway_ca.issue("ccw.example", "192.0.2.1")):
        context.load_cert_chain(identity.cert_file, identity.key_file)
    assert throwaway_ca.server is throwaway_ca.server


def test_an_identity_may_have_expired(throwaway_ca):
    yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    identity = throwaway_ca.issue("ccw.example", not_after=yesterday)
    told = ssl._ssl._test_decode_cert(identity.cert_file)["notAfter"]
    assert ssl.cert_time_to_seconds(told) == yesterday.timestamp()
