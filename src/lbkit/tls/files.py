"""Reading files that hold certificates, keys, lists and passwords. C modules only: `lbkit-probe` loads it."""

from lbkit.errors import Misuse

LIMIT = 16 << 20  # bytes; the revocation lists of large public CAs have a few MiB


def read(path: str) -> bytes:
    """All bytes of a file. Raises Misuse where it can't be read, is empty, or has more than 16 MiB."""
    try:
        with open(path, "rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as e:
        raise Misuse(f"{path} can't be read: {e.strerror}. Check the path and who may read it.") from None
    except ValueError:  # a path with a NUL
        raise Misuse(f"{path!r} is no path.") from None
    if not data:
        raise Misuse(f"{path} is empty. Write it anew.")
    if len(data) > LIMIT:
        raise Misuse(f"{path} has more than {LIMIT >> 20} MiB: it is something else. Check the path.")
    return data


def password(path: str) -> bytes:
    """The first line of a file, without its end. Raises Misuse as `read` does, and where that line is empty."""
    line = read(path).partition(b"\n")[0].removesuffix(b"\r")
    if not line:
        raise Misuse(f"the first line of {path} is empty. Write the password there.")
    if len(line) > 1023:  # OpenSSL takes no more (PEM_BUFSIZE)
        raise Misuse(f"the first line of {path} has more than 1023 bytes: it is no password. Check the path.")
    return line


def is_pfx(data: bytes) -> bool:
    """Whether a file's content is a PFX: a DER or BER SEQUENCE that begins with the INTEGER 3 (RFC 7292 section 4)."""
    if len(data) < 2 or data[0] != 0x30:
        return False
    start = 2 + (data[1] & 0x7F if data[1] > 0x80 else 0)
    return data[start : start + 3] == b"\x02\x01\x03"
