"""DER as PEM, for tests that damage what is inside the Base64."""

import base64


def rewrapped(der: bytes, label: str) -> bytes:
    body = base64.encodebytes(der)
    return f"-----BEGIN {label}-----\n".encode() + body + f"-----END {label}-----\n".encode()
