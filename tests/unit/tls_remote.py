"""The server's side of TLS over memory buffers, and how a conversation is led with it."""

import ssl
from contextlib import suppress

from lbkit.checks.context import Terms
from lbkit.checks.conversation import Conversation, up
from lbkit.checks.tls import layer


def hello():
    received = yield "greet", b"hello"
    return up(f"it says {received!r}", last_words=b"bye")


class Remote:
    """The server's side. It answers the first bytes it hears."""

    def __init__(self, context, answer=b"hi"):
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._answer = answer
        self._ready = False
        self.heard = b""
        self.closed = False
        self.error = None
        self.client = None

    def take(self, data):
        self._in.write(data)
        try:
            if not self._ready:
                self._tls.do_handshake()
                self._ready = True
                self.client = self._tls.getpeercert()
            while not self.closed:
                read = self._tls.read()
                self.closed = not read
                if read and not self.heard and self._answer:
                    self._tls.write(self._answer)
                self.heard += read
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as e:
            self.error = e
        return self._out.read()

    def say_goodbye(self):
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._out.read()


def talk_to(remote, host="127.0.0.1", protocol=hello, piece=None, ready=None, **options):
    """Let a secured conversation and the remote talk until one of them has nothing to say; the conversation.

    `ready`: a layer that stands already; else one is made with `options`.
    """
    talk = (ready or layer(Terms(**options)))(Conversation(protocol(), {"connect": 0.5}), host)
    now = 1.0
    to_send = talk.begin(now)
    while to_send:
        answer = remote.take(to_send)
        to_send = b""
        for chunk in (answer,) if piece is None else (answer[i : i + piece] for i in range(0, len(answer), piece)):
            now += 1.0
            if chunk and talk.outcome is None:
                to_send += talk.receive(chunk, now) or b""
    if talk.outcome is not None:
        remote.take(talk.farewell())
    return talk


def found(talk):
    assert talk.outcome is not None
    return talk.outcome.up, talk.outcome.step, talk.outcome.reason
