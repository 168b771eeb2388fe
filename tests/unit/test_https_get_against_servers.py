"""What other implementations write, we read; what we write, they read: h11 in the server's role, and http.server."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import check
from lbkit.testing import play
from lbkit_https_get.exchange import exchange
from lbkit_https_get.terms import Terms

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(lambda name: "x-" + name)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
PATH = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60)


def served(request, status, headers, pieces, early):
    """The bytes with which h11 answers a request, and the request as it was understood."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(request)
    asked = server.next_event()
    assert type(server.next_event()) is h11.EndOfMessage
    out = [server.send(h11.InformationalResponse(status_code=103, headers=[])) for _ in range(early)]
    out.append(server.send(h11.Response(status_code=status, headers=headers, reason=b"Because")))
    out += [server.send(h11.Data(data=piece)) for piece in pieces]
    out.append(server.send(h11.EndOfMessage()))
    return asked, b"".join(out), server.our_state


@settings(max_examples=200, deadline=None)
@given(
    path=PATH,
    status=st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    headers=st.lists(st.tuples(TOKEN, VALUE), max_size=5),
    pieces=st.lists(st.binary(min_size=1, max_size=200), max_size=5),
    framing=st.sampled_from(["content-length", "chunked"]),
    early=st.integers(0, 3),
    cut=st.integers(1, 300),
)
def test_what_h11_serves_is_read_as_it_was_meant(path, status, headers, pieces, framing, early, cut):
    body = b"".join(pieces)
    expected = body.decode("utf-8", "replace")
    terms = Terms("/" + path, statuses=(status,), body=expected)
    (request,) = play(exchange(terms, "192.0.2.1", 8443))[1]
    framed = ("content-length", str(len(body))) if framing == "content-length" else ("transfer-encoding", "chunked")
    asked, answer, _ = served(request, status, [*headers, framed], pieces, early)
    assert (asked.method, asked.target) == (b"GET", b"/" + path.encode())
    assert dict(asked.headers)[b"host"] == b"192.0.2.1:8443"
    assert dict(asked.headers)[b"connection"] == b"close"
    chunks = [answer[i : i + cut] for i in range(0, len(answer), cut)]
    outcome, _ = play(exchange(terms, "192.0.2.1", 8443), *chunks)
    assert outcome is not None
    assert (outcome.up, outcome.details["status"], outcome.details["bytes"]) == (True, status, len(body))
    other, _ = play(exchange(Terms("/" + path, statuses=(status,), body=expected + "x"), "192.0.2.1", 8443), *chunks)
    assert (other.up, other.reason) == (False, "body")


class Handler(BaseHTTPRequestHandler):
    """As the standard library answers: HTTP/1.0, the body ends with the connection."""

    def do_GET(self):
        if self.path == "/broken":
            self.send_error(500)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"you asked " + self.headers["Host"].encode() + b" for " + self.path.encode() + b"\r\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def target():
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_http_server_understands_us_and_we_it(target):
    result = check("https-get", target, tls=False, path="/a?b=c", body=f"you asked {target} for /a?b=c")
    assert (result.status, result.step, result.reason) == ("up", "body", "ok"), result.message
    assert result.details["server"].startswith("BaseHTTP")
    assert {"connect", "request"} <= set(result.steps)
    result = check("https-get", target, tls=False, path="/broken")
    assert (result.status, result.step, result.reason) == ("down", "status", "http-status")
    assert "with “Error response”: the application failed" in result.message
