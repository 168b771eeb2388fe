"""lbkit_banner.py: the check `banner`."""

from pydantic import Field

from lbkit.checks.conversation import down, up
from lbkit.checks.kind import CheckKind, TlsParams
from lbkit.hookspecs import hookimpl


class BannerParams(TlsParams):
    """Does the server greet with the text that is expected?"""

    port: int | None = Field(22, ge=1, le=65535, description="Port of targets that name none.")
    starts_with: str = Field("SSH-2.0-", min_length=1, description="What the greeting begins with.")


def prepare(params):
    """What all targets share; returns what makes the protocol for one."""
    wanted = params.starts_with.encode()

    def banner(target):
        seen = b""
        while len(seen) < len(wanted):
            received = yield "greeting", b""
            if not received:
                return down("no-greeting", "the server closed before it greeted. Its log says why.")
            seen += received
        if seen.startswith(wanted):
            return up("greets as expected")
        return down("other-greeting", f"the server greets with {seen[:40]!r}. Check the port.")

    return banner


@hookimpl
def lbkit_checks():
    """The checks of this plugin."""
    reasons = {"no-greeting": "the server says nothing", "other-greeting": "it says something else"}
    return [CheckKind("banner", "a text greeting", BannerParams, prepare, reasons)]
