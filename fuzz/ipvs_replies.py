"""What reads the kernel's answers about IPVS, fed with whatever a fuzzer makes up.

    pip install atheris
    python fuzz/ipvs_replies.py -max_total_time=600

Of an input the first byte says who reads the messages, the rest is a datagram. Whatever comes, a reader must give its values
or raise an EngineError of printable text, and what is read of a table must be a rule that can be written. Inputs that get
further than others are kept in fuzz/corpus/.
"""

import contextlib
import struct
import sys
from pathlib import Path

if __name__ == "__main__":
    import atheris

    watched = atheris.instrument_imports(include=["lbkit"])
else:
    watched = contextlib.nullcontext()

with watched:
    from lbkit.errors import EngineError
    from lbkit.ipvs import answers, netlink, rules
    from lbkit.ipvs.table import SeenDestination, SeenService, Service, Virtual

CORPUS = Path(__file__).parent / "corpus" / "ipvs_replies"
RECORDED = Path(__file__).parents[1] / "tests" / "unit" / "ipvs_messages" / "answers.txt"
READERS = (answers.service, answers.destination, answers.timeouts, answers.daemon, answers.version)
NAMES = ("services", "destinations", "timeouts", "daemons", "version")
"""How the names of the recorded answers begin, by reader."""


def one_input(data: bytes) -> None:
    """Feed one input; AssertionError, or any exception but EngineError, is a find."""
    reader, datagram = READERS[(data[0] if data else 0) % len(READERS)], data[1:]
    sequence = struct.unpack_from("=I", datagram, 8)[0] if len(datagram) >= 12 else 0
    for found in read(reader, datagram, sequence):
        judge(found)


def read(reader, datagram: bytes, sequence: int) -> list[object]:
    """What each message gives or raises."""
    answer = netlink.Answer(sequence)
    found: list[object] = []
    try:
        answer.take(datagram)
        found += map(reader, answer.bodies)
    except EngineError as error:
        found.append(error)
    return found


def judge(found: object) -> None:
    """What an error must be, and what a service and a destination."""
    if isinstance(found, EngineError):
        assert str(found).isprintable(), found
        assert len(str(found)) < 500, found
    elif isinstance(found, SeenService):
        (line,) = rules.lines([(found.service, [])])
        assert line.isprintable(), line
    elif isinstance(found, SeenDestination):
        lines = rules.lines([(Service(Virtual("192.0.2.10", 104)), [found.destination])])
        assert lines[1].isprintable(), lines


def seeds() -> list[bytes]:
    """Every recorded answer for its reader, whole, cut short, and broken in one place."""
    found = []
    for line in RECORDED.read_text().splitlines():
        name, _, recorded = line.partition(" ")
        for number, begins in enumerate(NAMES):
            if name.startswith(begins):
                whole = bytes.fromhex(recorded)
                broken = [whole[:at] + bytes((whole[at] ^ 0x81,)) + whole[at + 1 :] for at in range(0, len(whole), 3)]
                found += [bytes((number,)) + datagram for datagram in (whole, whole[: len(whole) // 2], *broken)]
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
