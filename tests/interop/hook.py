"""An HTTP server that events are sent to."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from interop.operated import own_port
from interop.remotes import HOST


class Hook:
    """An HTTP server that writes down what is sent to it. `answers`: the statuses of its next answers; then 200."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []  # path, headers, body
        self.answers: list[int] = []
        self.location = ""
        self.body = b"thanks"
        self.port = own_port()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((self.path, dict(self.headers.items()), body))
                self.send_response(hook.answers.pop(0) if hook.answers else 200)
                if hook.location:
                    self.send_header("Location", hook.location)
                self.end_headers()
                self.wfile.write(hook.body)

            def do_GET(self):
                hook.got.append((self.path, {}, b"GET"))

            def log_message(self, *words):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self._server = Quiet((HOST, self.port), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        return f"http://{HOST}:{self.port}/lbkit/private-path?x=1"
