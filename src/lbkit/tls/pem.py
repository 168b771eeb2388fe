"""PEM files (RFC 7468), block by block; and what is said of files that are none, or hold something else."""

from __future__ import annotations

from dataclasses import dataclass

from lbkit.errors import Misuse
from lbkit.tls import files

_BEGIN, _END, _DASHES = b"-----BEGIN ", b"-----END ", b"-----"


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its label, such as `CERTIFICATE`, and all of its text."""

    label: str
    text: bytes


def blocks(data: bytes, path: str) -> list[Block]:
    """The blocks of a file's content, in its order. Raises Misuse for one that is cut off, and where there is none."""
    found = []
    begin = data.find(_BEGIN)
    while begin >= 0:
        label = data[begin + len(_BEGIN) : begin + 80].partition(_DASHES)[0]
        end = data.find(_END + label + _DASHES, begin)
        if end < 0:
            raise Misuse(f"{path} is cut off: its {_shown(label)} has no end. Write it anew.")
        end += len(_END + label + _DASHES)
        found.append(Block(_shown(label), data[begin:end] + b"\n"))
        begin = data.find(_BEGIN, end)
    if not found:
        raise Misuse(_no_pem(data, path))
    return found


def lacks(found: list[Block], what: str, path: str) -> Misuse:
    """What is said of a PEM file that does not hold what it is given for."""
    labels = " and ".join(sorted({f"“{block.label}”" for block in found})[:3])
    return Misuse(f"{path} holds no {what}, but {labels}. Check the path.")


def _no_pem(data: bytes, path: str) -> str:
    if files.is_pfx(data):
        return (
            f"{path} is a PFX (PKCS #12), and PEM is needed. Convert it: openssl pkcs12 -in {path} -nodes -out NEW.pem."
        )
    if data[:1] == b"\x30":  # an ASN.1 SEQUENCE, as certificates, keys and lists are
        convert = f"openssl x509 -inform DER -in {path} -out NEW.pem (a list: openssl crl, a key: openssl pkey)"
        return f"{path} is DER, and PEM is needed. Convert it: {convert}."
    return f"{path} is no PEM file: it has no line that begins with “-----BEGIN”. Check the path."


def _shown(label: bytes) -> str:
    text = label.decode("ascii", "replace")
    return text if text.isprintable() else "block"
