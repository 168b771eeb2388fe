"""`python -m benchmarks.pairs PAIR ROUNDS FILE`: run one pair, and write its figures as JSON."""

import json
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.pairs import MISSING, events, plain


def main() -> int:
    """Its exit code."""
    name, rounds, file = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        found = plain.run(rounds) if name == "plain" else events.run(name, rounds)
    except pytest.skip.Exception as missing:
        print(missing.msg)
        return MISSING
    file.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
