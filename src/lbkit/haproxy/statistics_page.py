"""HAProxy's statistics page, for one whose socket is out of reach: haproxy-stats, cured of what ails it.

The package reads quoted commas as ends of columns, stays failed for ever, fetches before it can be given a certificate, and
sets up the logging of the program that imports it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from time import monotonic

from lbkit.errors import CannotRun, Misuse, NotAllowed, NotRunning, NotThere
from lbkit.haproxy.rows import Row, rows
from lbkit.tls.files import read

_guard = logging.NullHandler()
logging.getLogger().addHandler(_guard)  # logging.basicConfig does nothing where there is a handler
try:
    from haproxystats import HAProxyServer, HAProxyService
    from requests import RequestException, Session
    from urllib3.exceptions import HTTPError
except ImportError as e:
    raise CannotRun(
        f"a statistics page needs a package that is not here: {e}. pip install 'lbkit-core[haproxy]'."
    ) from None
finally:
    logging.getLogger().removeHandler(_guard)

MOST_BYTES = 64 << 20  # of a page: some 100,000 servers


class StatisticsPage(HAProxyServer):  # type: ignore[misc]  # the package has no types
    """The page at a URL such as "https://192.0.2.1:8404/stats"; nothing is fetched until it is asked for.

    `timeout`: seconds to connect, and of silence; ten times that for all. `auth_file`: "user:password" in its first line.
    `ca_file`: whom to trust; `cert_file`, `key_file`: in PEM, without a password.
    After `update()` it has `frontends`, and `backends` with their `listeners`, as haproxy-stats has.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 5.0,
        *,
        auth_file: str = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
    ) -> None:
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        if scheme not in ("http", "https") or not host or "@" in host or not url.isprintable():
            raise Misuse(
                "a statistics page is http://HOST:PORT/PATH or https://…; its password belongs into auth_file."
            )
        self.url = url.partition(";")[0] + ";csv;norefresh"
        self.name = host
        self.timeout = timeout
        self.failed = False
        self._session = Session()
        self._session.trust_env = False  # no proxy of the environment stands before a balancer
        self._session.headers["Accept-Encoding"] = "identity"
        self._session.verify = ca_file or True
        self._session.cert = (cert_file, key_file or cert_file) if cert_file else None
        if auth_file:
            user, _, password = read(auth_file).decode().partition("\n")[0].rstrip("\r").partition(":")
            self._session.auth = (user, password)

    def stats(self, proxy: str = "") -> list[Row]:
        """The same as `Runtime.stats`. Raises NotRunning, NotAllowed, NotThere, EngineError."""
        self.update()
        found = [row for row in self.rows if proxy in ("", row["pxname"])]
        if not found:
            raise NotThere(f"{self.url} has no proxy {proxy}. Check the name; is the configuration applied?")
        return found

    def update(self) -> None:
        """Fetch and read the page."""
        self.failed = True
        self.rows = rows(self._fetch())
        self.failed = False
        self.last_update = datetime.now(UTC)
        self.frontends, self.backends, self.listeners = [], [], []
        of_backend: dict[str, list[HAProxyService]] = {}
        for row in self.rows:
            service = HAProxyService(list(row), list(row.values()), self.name)
            if row["svname"] == "FRONTEND":
                self.frontends.append(service)
            elif row["svname"] == "BACKEND":
                service.listeners = of_backend.setdefault(row["pxname"], [])
                self.backends.append(service)
            else:
                self.listeners.append(service)
                of_backend.setdefault(row["pxname"], []).append(service)

    def _fetch(self) -> str:
        deadline = monotonic() + 10 * self.timeout
        try:
            with self._session.get(self.url, timeout=self.timeout, allow_redirects=False, stream=True) as answer:
                status = answer.status_code
                page = b""
                while chunk := answer.raw.read1(1 << 16):  # iter_content would wait until so much is there
                    page += chunk
                    if len(page) > MOST_BYTES or monotonic() > deadline:
                        raise NotRunning(f"{self.url} does not come to an end. Is this HAProxy's statistics page?")
        except (RequestException, HTTPError, OSError) as e:
            raise NotRunning(
                f"{self.url} can't be read: {e}. Is HAProxy running, and is this its `stats uri`?"
            ) from None
        if status in (401, 403):
            raise NotAllowed(
                f"{self.url} wants a user and a password ({status}). Give auth_file, as `stats auth` has it."
            )
        if status != 200:
            raise NotThere(f"{self.url} answers with status {status}. Give the path of its `stats uri`.")
        return page.decode("utf-8", "replace")
