"""Answers in HTTP/1.1, as bytes."""

BODY = b"allServicesOperative"
REQUEST = (
    b"GET /api/health/ HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: lbkit\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    b"Connection: close\r\n\r\n"
)


def answer(body=BODY, status=b"200 OK", *headers, length=None):
    """A whole answer; `headers`: lines. `length`: what Content-Length claims, b"" for none."""
    length = b"%d" % len(body) if length is None else length
    framed = (b"Content-Length: " + length,) if length else ()
    return b"\r\n".join((b"HTTP/1.1 " + status, *framed, *headers, b"", body))


def chunked(*chunks, trailer=b"", extension=b""):
    """An answer in these chunks."""
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return answer(body + b"0\r\n" + trailer + b"\r\n", b"200 OK", b"Transfer-Encoding: chunked", length=b"")


def until_close(body=BODY, version=b"1.1"):
    """An answer that ends with the connection."""
    return b"HTTP/" + version + b" 200 OK\r\nContent-Type: text/plain\r\n\r\n" + body


def redirect(location, status=b"302 Found", *headers, body=b""):
    """An answer that sends us elsewhere."""
    return answer(body, status, b"Location: " + location, *headers)


def page(title, status):
    """An error page as nginx makes it."""
    html = b"<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n" % (title, status)
    return answer(
        html + b"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n", status, b"Server: nginx/1.22.1"
    )


UP = answer()
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
