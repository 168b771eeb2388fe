"""What reads VRRP's adverts, the FIFO's lines and ARP, fed with whatever a fuzzer makes up.

    pip install atheris
    python fuzz/vrrp_adverts.py -max_total_time=600

Of an input the first byte says who reads the rest. Whatever comes, a reader gives values that can be, or nothing; it never
raises. Inputs that get further than others are kept in fuzz/corpus/.
"""

import contextlib
import sys
from ipaddress import ip_address
from pathlib import Path

if __name__ == "__main__":
    import atheris

    watched = atheris.instrument_imports(include=["lbkit"])
else:
    watched = contextlib.nullcontext()

with watched:
    from lbkit.pair import adverts, doubles, fifo

CORPUS = Path(__file__).parent / "corpus" / "vrrp_adverts"
ADDRESS = "10.9.0.100"
SENT = (
    "45c00020000f0000ff70a68a0a0900010a0900023133f5010014bab80a090064",
    "6c0622c800287040fd090000000000000000000000000001fd0900000000000000000000000000023134c80200140f71"
    "fd090000000000000000000000000100fe800000000000000000000000090001",
)
"""By keepalived 2.2.7: over IPv4, and over IPv6."""
TOLD = (b'INSTANCE "lbkit_51" MASTER 248', b'INSTANCE "lbkit_51" BACKUP_PRIORITY 225')


def one_input(data: bytes) -> None:
    """Feed one input; AssertionError, or any other exception, is a find."""
    reader = READERS[(data[0] if data else 0) % len(READERS)]
    reader(data[1:])


def advert(packet: bytes) -> None:
    """An advert's values are those of RFC 5798."""
    found = adverts.read(packet)
    if found is not None:
        assert 1 <= found.router_id <= 255, found
        assert 0 <= found.priority <= 255, found
        assert 0 <= found.interval <= 40.95, found
        version = ip_address(found.source).version
        assert all(ip_address(one).version == version for one in found.addresses), found


def line(text: bytes) -> None:
    """What the FIFO tells has a name, and a number that is short."""
    found = fifo.told(text.decode("ascii", "replace"))
    if found is not None:
        assert found.instance, found
        assert 0 <= found.priority <= 999, found


def frame(data: bytes) -> None:
    """A MAC has six bytes."""
    found = doubles.claimed(data, ADDRESS)
    assert found is None or len(found) == 6, found


READERS = (advert, line, frame)


def seeds() -> list[bytes]:
    """Each whole, cut short, and broken in one place."""
    probe = doubles.probe(ADDRESS, bytes(range(6)))
    whole = [b"\0" + bytes.fromhex(one) for one in SENT] + [b"\1" + one for one in TOLD]
    whole.append(b"\2" + probe[:28] + probe[38:42] + probe[32:])
    found = []
    for one in whole:
        broken = [one[:at] + bytes((one[at] ^ 0x81,)) + one[at + 1 :] for at in range(1, len(one), 2)]
        found += [one, one[: len(one) // 2], *broken]
    return list(dict.fromkeys(found))


def main() -> None:
    """Run the fuzzer on the seeds and on what earlier runs have kept."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (CORPUS / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(CORPUS)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
