"""The exchange itself: GET, status, body, and redirects if asked (RFC 9110, RFC 9112), as a protocol for the drivers.

Both must hold, the status and the body: a 503 with the right body is down. The verdict falls at the end of the body;
nobody waits for the remote to close. Loaded by `lbkit-probe`; what to say about failures stands in `words`, which is
imported when there is one.
"""

from h11 import CLIENT, DONE, Connection, EndOfMessage, RemoteProtocolError, Request

from lbkit.checks.conversation import Lost, Outcome, up
from lbkit_https_get.answer import MAX_HEAD, Answer, NotHttp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lbkit.checks.conversation import Protocol
    from lbkit_https_get.terms import Terms

_HEADERS = ((b"User-Agent", b"lbkit"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"))
_LAST_HEADERS = (*_HEADERS, (b"Connection", b"close"))
_END = EndOfMessage()


def exchange(terms: "Terms", host: str, port: int) -> "Protocol":
    """One GET, and one more for each redirect that is followed: the protocol that the drivers run."""
    place = terms.host_for(host, port)
    path = terms.path
    connection = Connection(CLIENT, MAX_HEAD)
    followed = 0
    while True:
        to_send = _request(connection, place, path, followed == terms.redirects)
        answer = Answer(terms)
        try:
            while not answer.add(connection, (yield answer.step, to_send)):
                to_send = b""
        except (Lost, NotHttp, RemoteProtocolError) as e:
            if answer.step != "status":  # which is a verdict, whatever becomes of the body
                return _failure(e, answer, terms)
        if answer.step == "body":
            return _verdict(answer, terms)
        onward = _onward(answer, place, path, terms)
        if not onward or connection.their_state is not DONE:  # which it never is where we asked to close
            return _unexpected(answer, onward, followed, terms)
        connection.start_next_cycle()
        path = onward
        followed += 1


def _request(connection: Connection, place: str, path: str, last: bool) -> bytes:
    headers = [(b"Host", place.encode()), *(_LAST_HEADERS if last else _HEADERS)]
    request = connection.send(Request(method=b"GET", target=path.encode(), headers=headers))
    connection.send(_END)
    return request


def _verdict(answer: Answer, terms: "Terms") -> Outcome:
    """On an answer whose status is expected."""
    if answer.readable and terms.matches(answer.body.decode("utf-8", "replace")):
        serves = f"answers {answer.status}" + ("" if terms.match == "anything" else " with the expected body")
        return up(serves, "body", answer.details)
    from lbkit_https_get import words

    return words.wrong_body(answer, terms)


def _onward(answer: Answer, place: str, path: str, terms: "Terms") -> str:
    """The path at this very place that a redirect leads to, or ""."""
    if not answer.is_redirect:
        return ""
    from lbkit_https_get import redirect

    return redirect.path_here(place, path, terms.tls, answer.location or b"")


def _unexpected(answer: Answer, onward: str, followed: int, terms: "Terms") -> Outcome:
    from lbkit_https_get import words

    if answer.is_redirect:
        return words.redirected(answer, onward, followed, terms)
    return words.wrong_status(answer, terms)


def _failure(e: Lost | NotHttp | RemoteProtocolError, answer: Answer, terms: "Terms") -> Outcome:
    from lbkit_https_get import words

    if isinstance(e, Lost):
        return words.lost(e, answer, terms)
    if isinstance(e, NotHttp):
        return words.not_http(answer, terms)
    return words.protocol_error(e, answer)
