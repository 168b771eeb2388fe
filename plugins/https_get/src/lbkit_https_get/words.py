"""What `https-get` says when a remote does not serve: what happened, what it means, what to do next.

Status codes as of RFC 9110 section 15; what servers say of client certificates, and to plain HTTP on a TLS port, as nginx,
Apache, IIS and Go word it. Loaded on failures only.
"""

import re

from h11 import RemoteProtocolError

from lbkit.checks.conversation import Lost, Outcome, down, printable
from lbkit_https_get.answer import Answer, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lbkit_https_get.terms import Terms

QUOTED = 120  # characters of a remote's that stand in a message

_BY_STATUS = {
    400: "the server does not take the request as it is, often for its Host header. Check --host, and its log.",
    401: "the page wants credentials. Let the load balancer in without, or ask for a page that does (--path).",
    403: "the server does not allow us this page: it may want a client certificate (--cert-file), another name (--host), "
    "or only know other addresses. Its log says what.",
    404: "there is no such page. Check --path, and --host where the server has several sites.",
    406: "the page can't be had as we asked for it. Check --path.",
    407: "a proxy answers here, and wants credentials. Check the address.",
    408: "the server did not read our request in time: it is overloaded. Its log says why.",
    421: "the server is not set up for this name. Check --server-name and --host.",
    426: "the server wants another protocol than HTTP/1.1. Check the port.",
    429: "the server has had too many requests from us. Check how often it is asked, and its limits.",
    500: "the application failed. Its log says why.",
    502: "a proxy answers, and what is behind it does not. Check the service behind it.",
    503: "the service says itself that it is not available. Its log says why.",
    504: "a proxy answers, and what is behind it is too slow. Check the service behind it.",
    505: "the server does not want HTTP/1.1. Check the port.",
}
_BY_CLASS = {
    2: "it answers, though not as expected",
    3: "it gives neither the page nor where it is",
    4: "the server turns our request down",
    5: "the server fails; its log says why",
}

# Text in the bodies of error pages, in lower case.
_PLAIN_ON_TLS = (
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled server port",
    "sent an http request to an https server",
)
_NO_CERTIFICATE = ("no required ssl certificate was sent", "ssl client certificate is required", "403.7 ")
_BAD_CERTIFICATE = ("the ssl certificate error", "403.13 ", "403.16 ", "403.17 ")

_LATE = {  # by how far the answer has come
    "nothing": "the server takes the request and does not answer: hung, overloaded, or it waits for something behind it. "
    "Look at what it waits for, or restart it.",
    "head": "the answer stops in the middle of its head: the server, or a proxy before it, hangs. Restart it.",
    "body": "the body stops after {bytes} bytes: the service behind the page hangs. Look at what it waits for, or "
    "restart it.",
}
_CUT = {
    "head": "in the middle of the answer's head: the service, or a proxy before it, is failing. Its log says why.",
    "body": "after {bytes} bytes of the body: the service behind the page is failing. Its log says why.",
}
_CUT_AT_ONCE = {  # by whether we speak TLS; a server of TLS 1.3 turns clients down after the handshake
    True: "instead of answering: it wants a client certificate (--cert-file), does not serve us, or is failing. Its log "
    "says why.",
    False: "instead of answering: it expects TLS (leave --no-tls out), does not serve us, or is failing. Its log says why.",
}
_BROKEN = {  # how h11 begins what it says, where an operator would not understand it
    "Receive buffer too long": "the answer's head, or what frames its body, is far too long",
    "Received server _SWITCH": "it switches to another protocol, which nobody has asked for",
    "Only Transfer-Encoding": "the body has a transfer encoding other than chunked",
    "malformed chunk footer": "a chunk of the body is longer than it says",
}


def quoted(raw: bytes | bytearray) -> str:
    """The start of a body in quotation marks: one printable line, without a page's tags."""
    text = raw.decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        text = re.sub(r"<[^>]*>", " ", text)
    text = " ".join(text.split())
    return f"“{printable(text[:QUOTED])}{'…' if len(text) > QUOTED else ''}”"


def lost(lost: Lost, answer: Answer, terms: "Terms") -> Outcome:
    """The verdict on a connection that ended, or a deadline that passed, before there was one."""
    come = "body" if answer.head else "head" if answer.read else "nothing"
    if lost.reason == "timed-out":
        before, meaning = f"{lost.message}:", _LATE[come]
    elif lost.reason in ("closed", "reset"):
        before, meaning = lost.message, _CUT.get(come) or _CUT_AT_ONCE[terms.tls]
    else:
        return down(lost.reason, lost.message, lost.step)  # TLS has its own words
    return down(lost.reason, f"{before} {meaning.format(bytes=len(answer.body))}", details=answer.details)


def not_http(answer: Answer, terms: "Terms") -> Outcome:
    """The verdict on bytes that are no answer in HTTP/1.1."""
    return down("not-http", f"not HTTP: {_what_it_looks_like(answer.start, terms)}")


def _what_it_looks_like(start: bytes, terms: "Terms") -> str:
    seen = plain(start.strip(), 48)
    if start[0] in (0x15, 0x16) and start[1:2] in (b"", b"\x03") and not terms.tls:
        return "a TLS server answers here. Leave --no-tls out, or check the port."
    if start[:1] == b"\0" and start[3:5] == b"\4\0":
        return "a server that speaks HTTP/2 only answers here. Let it speak HTTP/1.1 too, or check another port."
    if start.startswith(b"SSH-"):
        return f"an SSH server answers here (“{seen}”). Check the port."
    if start.lstrip()[:5].upper() in (b"<!DOC", b"<HTML", b"<?XML"):
        return f"a page comes without the head that HTTP has (it begins with “{seen}”). Check the port."
    if not b" " < start[:1] <= b"~":
        return f"the answer begins with the bytes {start[:8].hex(' ')}. Check the port."
    return f"the answer begins with “{seen}”. Check the port."


def protocol_error(error: RemoteProtocolError, answer: Answer) -> Outcome:
    """The verdict on what breaks the standard."""
    what = str(error)
    for start, said in _BROKEN.items():
        if what.startswith(start):
            what = said
    what, _, found = what.partition(": bytearray(b")  # h11 quotes so, with escapes
    quote = f" (“{found[1:-2][:QUOTED]}”)" if found else ""
    message = f"{what}{quote}: the remote breaks the HTTP standard here. Check the port, and its log."
    return down("protocol-error", message, answer.step, answer.details)


def wrong_status(answer: Answer, terms: "Terms") -> Outcome:
    """The verdict on a status that is not expected."""
    reason, advice = _of_status(answer, terms)
    title = re.search(rb"<title>([^<]+)</title>", answer.body, re.IGNORECASE)  # of an error page; more would repeat it
    page = title[1] if title else answer.body
    said = f"answers {_status_line(answer)}" + (f" with {quoted(page)}" if page.strip() else "")
    return down(reason, f"{said}: {advice}", "status", answer.details)


def _of_status(answer: Answer, terms: "Terms") -> tuple[str, str]:
    """(reason code, what it means and what to do)."""
    page, status = answer.body.decode("latin-1").lower(), answer.status
    if not terms.tls and (status == 497 or any(text in page for text in _PLAIN_ON_TLS)):
        return "http-status", "plain HTTP was spoken to an HTTPS port. Leave --no-tls out."
    if status == 496 or (status in (400, 403) and any(text in page for text in _NO_CERTIFICATE)):
        return "client-certificate-refused", "the server wants a client certificate. Give --cert-file and --key-file."
    if status == 495 or (status in (400, 403) and any(text in page for text in _BAD_CERTIFICATE)):
        advice = "Give one (--cert-file) that is of a CA that it trusts, neither expired nor revoked."
        return "client-certificate-refused", f"the server does not take our client certificate. {advice}"
    if status in _BY_STATUS:
        return "http-status", _BY_STATUS[status]
    if status // 100 in _BY_CLASS:
        return "http-status", f"{_BY_CLASS[status // 100]}. If that is right, give --status {status}."
    return "http-status", "HTTP has no such status. Check the port, and the server's log."


def _status_line(answer: Answer) -> str:
    phrase = plain(answer.head.reason, 64).strip() if answer.head else ""
    return f"{answer.status} {phrase}".rstrip()


def redirected(answer: Answer, onward: str, followed: int, terms: "Terms") -> Outcome:
    """The verdict on a redirect that is not followed; `onward`: the path at the same place that it leads to, or ""."""
    location = plain(answer.location or b"", QUOTED)
    said = f"answers {_status_line(answer)}, a redirect to “{location}”"
    if not onward and not terms.tls and location.lower().startswith("https:"):
        advice = ": it wants TLS. Leave --no-tls out."
    elif not onward:
        advice = ", which is not the same scheme, host and port. Check that instead, or correct --path or --host."
    elif followed < terms.redirects:
        path = plain(onward.encode(), QUOTED)
        advice = f", and ends the connection, which redirects are followed on. Ask for that at once: --path '{path}'."
    elif followed:
        advice = f", after {followed} that were followed. If it does not go round in circles, give more --redirects."
    else:
        advice = f". If that is the page to check, give --path '{plain(onward.encode(), QUOTED)}', or --redirects 1."
    return down("redirected", said + advice, "status", answer.details)


def wrong_body(answer: Answer, terms: "Terms") -> Outcome:
    """The verdict on a body that can't be read whole, or is not the one expected, behind the right status."""
    said, details = f"answers {_status_line(answer)}", answer.details
    if not answer.complete:
        advice = "Check --path, or give a larger --max-body."
        message = f"{said} with a body of more than {terms.max_body} bytes, which is not read on. {advice}"
        return down("body-too-large", message, "body", details)
    if answer.encoding:
        encoding = plain(answer.encoding, 32)
        message = (
            f"{said} with a body encoded as “{encoding}”, though we ask for identity. Switch that off for this page."
        )
        return down("content-encoding", message, "body", details)
    found = (
        f"the body is {quoted(answer.body)} ({len(answer.body)} bytes)" if answer.body.strip() else "the body is empty"
    )
    wanted = quoted(terms.body.encode("utf-8", "replace"))
    expected = {
        "equals": f"{wanted} is expected (white space at both ends does not count)",
        "contains": f"it does not contain {wanted}",
        "regex": f"the regular expression {wanted} matches nowhere in it",
    }[terms.match]
    advice = "If the page is right (--path), the service says itself that it does not serve; its log says why."
    return down("body", f"{said}, but {found}; {expected}. {advice}", "body", details)
