"""What a TLS client trusts and shows: files, made into OpenSSL's context.

C modules only, for `lbkit-probe`; `lbkit.tls.identity` is loaded for a PFX, and to say what is wrong with a file.
"""

import _ssl

from lbkit.errors import Misuse
from lbkit.tls import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from lbkit.tls.watched import Watched

    T = TypeVar("T")


class Terms:
    """On what terms a client speaks TLS; "" where there is none. All are described at `lbkit.checks.kind.TlsTerms`."""

    __slots__ = (
        "ca_file",
        "cert_file",
        "crl_file",
        "key_file",
        "key_password_file",
        "server_name",
        "verify",
        "verify_name",
    )

    def __init__(
        self,
        ca_file: str = "",
        crl_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        key_password_file: str = "",
        server_name: str = "",
        verify: bool = True,
        verify_name: bool = True,
    ) -> None:
        self.ca_file = ca_file
        self.crl_file = crl_file
        self.cert_file = cert_file
        self.key_file = key_file
        self.key_password_file = key_password_file
        self.server_name = server_name
        self.verify = verify
        self.verify_name = verify_name

    @property
    def files(self) -> list[str]:
        """Every file that is named."""
        named = (self.ca_file, self.crl_file, self.cert_file, self.key_file, self.key_password_file)
        return [path for path in named if path]


def client(terms: Terms) -> "_ssl._SSLContext":
    """A new context on these terms. Raises Misuse for a file or a name that can't be used, with the option's name."""
    context = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)
    configure(context, terms)
    if terms.server_name:
        try:
            session(context, _ssl.MemoryBIO(), _ssl.MemoryBIO(), terms.server_name)
        except (ValueError, TypeError, _ssl.SSLError):
            raise Misuse(f"--server-name: {terms.server_name!r} is no host name.") from None
    return context


def session(
    context: "_ssl._SSLContext",
    incoming: "_ssl.MemoryBIO",
    outgoing: "_ssl.MemoryBIO",
    name: str,
    owner: object = None,
) -> "Any":
    """A client's session; the name goes out without the root's dot (RFC 6066 section 3) and in ASCII.

    `owner` is what the context's callbacks are given; it must take weak references.
    """
    name = name.removesuffix(".")
    if not name.isascii():
        name = name.encode("idna").decode()
    return context._wrap_bio(incoming, outgoing, False, name, owner=owner)  # type: ignore[attr-defined]


def outdated(ready: "Watched[Any]") -> list[str]:
    """Warnings for a result: files changed, and can't be read as they are now."""
    return [] if ready.error is None else [f"{ready.error} Until then they are used as they were before they changed."]


def configure(context: "_ssl._SSLContext", terms: Terms) -> None:
    """Give a client's context (an `ssl.SSLContext` is one too) its trust and its identity. Raises Misuse for its files."""
    context.check_hostname = False  # else the mode can't become CERT_NONE
    context.verify_mode = _ssl.CERT_REQUIRED if terms.verify else _ssl.CERT_NONE
    context.check_hostname = terms.verify and terms.verify_name
    if terms.verify:
        _trust(context, terms)
    if terms.cert_file:
        _show(context, terms)
    elif terms.key_file or terms.key_password_file:
        option = "--key-file: a key" if terms.key_file else "--key-password-file: a password"
        raise Misuse(f"{option} needs its certificate. Give --cert-file too.")


def with_pem(terms: Terms, use: "Callable[[str], T]") -> "T":
    """Call `use` with the path of the client certificate as PEM: of a PFX, one in memory, since no key may reach a disk."""
    if not files.is_pfx(files.read(terms.cert_file)):
        return use(terms.cert_file)
    from posix import close, memfd_create, write

    from lbkit.tls.identity import read_identity

    pem = read_identity(terms.cert_file, terms.key_file, terms.key_password_file).pem()
    memory = memfd_create("client certificate")
    try:
        write(memory, pem)
        return use(f"/proc/self/fd/{memory}")
    finally:
        close(memory)


def _show(context: "_ssl._SSLContext", terms: Terms) -> None:
    try:
        password = files.password(terms.key_password_file) if terms.key_password_file else b""
    except Misuse as e:
        raise Misuse(f"--key-password-file: {e}") from None
    # without that callback, OpenSSL asks for a password at the terminal, and waits for ever
    load = lambda path: context.load_cert_chain(path, terms.key_file or None, lambda: password)  # noqa: E731
    try:
        with_pem(terms, load)
    except (Misuse, OSError) as e:
        raise _about_identity(terms, e) from None


def _about_identity(terms: Terms, error: "Misuse | OSError") -> Misuse:
    from lbkit.tls.identity import Locked, read_identity

    try:
        read_identity(terms.cert_file, terms.key_file, terms.key_password_file)
    except Locked as e:
        return Misuse(f"--key-password-file: {e}")
    except Misuse as e:
        in_key = terms.key_file and terms.key_file in str(e)
        return Misuse(f"{'--key-file' if in_key else '--cert-file'}: {e}")
    return _refused("--cert-file", terms.cert_file, error)


def _trust(context: "_ssl._SSLContext", terms: Terms) -> None:
    if terms.ca_file:
        _load(context, "--ca-file", terms.ca_file, "x509")
    else:
        context.set_default_verify_paths()
    if terms.crl_file:
        trusted = context.cert_store_stats()["x509"]
        _load(context, "--crl-file", terms.crl_file, "crl")
        if context.cert_store_stats()["x509"] > trusted:
            advice = "OpenSSL would trust them. Leave them out, or give them with --ca-file too."
            raise Misuse(f"--crl-file: {terms.crl_file} holds certificates beside its revocation lists. {advice}")
        context.verify_flags |= _ssl.VERIFY_CRL_CHECK_CHAIN


def _load(context: "_ssl._SSLContext", option: str, path: str, kind: str) -> None:
    """Load a file that must hold something of that kind, as `cert_store_stats` calls it."""
    error: Exception = ValueError("nothing in it is of use")
    try:
        context.load_verify_locations(path)
        if context.cert_store_stats()[kind]:
            return
    except (OSError, ValueError) as e:
        error = e
    from lbkit.tls.family import read_family

    try:
        read_family(*([path],) if kind == "x509" else ([], [path]))
    except Misuse as e:
        raise Misuse(f"{option}: {e}") from None
    raise _refused(option, path, error)


def _refused(option: str, path: str, error: Exception) -> Misuse:
    """What is said of a file with which nothing is wrong but that OpenSSL does not take it."""
    why = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
    return Misuse(
        f"{option}: OpenSSL refuses {path}: {why}. Get another, with a key and a signature of today's strength."
    )
