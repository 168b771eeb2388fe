"""What reads HAProxy's answers, fed with whatever a fuzzer makes up.

    pip install atheris
    python fuzz/haproxy_replies.py -max_total_time=600

Of an input the first byte says who reads the rest, the second in what chunks a table comes (0: at once). Whatever comes, a
reader must give its values or raise an EngineError of printable text; and a table must read the same in any chunks. Inputs
that get further than others are kept in fuzz/corpus/.
"""

import contextlib
import sys
from pathlib import Path

if __name__ == "__main__":
    import atheris

    watched = atheris.instrument_imports(include=["lbkit"])
else:
    watched = contextlib.nullcontext()

with watched:
    from lbkit.errors import EngineError
    from lbkit.haproxy import entries, master, refusals, replies, rows
    from lbkit.haproxy.certificates import loaded, loaded_lists

CORPUS = Path(__file__).parent / "corpus" / "haproxy_replies"
RECORDED = Path(__file__).parents[1] / "tests" / "unit" / "haproxy_replies"
READERS = {
    "show-info": replies.info,
    "show-servers-state": replies.servers,
    "show-sess": replies.sessions,
    "show-acl": replies.acl_entries,
    "show-stat": rows.rows,
    "show-table": entries.tables,
    "show-table-b": lambda text: entries.entries([text.encode("utf-8", "replace")]),
    "show-table-src": lambda text: entries.entries([text.encode("utf-8", "replace")]),
    "show-proc": master.processes,
    "show-ssl-cert": lambda text: loaded(text, "f"),
    "show-ssl-ca-file": loaded_lists,
    "several": lambda text: replies.split(text, 3),
    "refused": lambda text: refusals.refused("HAProxy at x", "show x", text),
}
"""By the names of the recorded answers."""


def one_input(data: bytes) -> None:
    """Feed one input; AssertionError, or any exception but EngineError, is a find."""
    choice, size, answer = data[0] if data else 0, data[1] if len(data) > 1 else 0, data[2:]
    name = list(READERS)[choice % len(READERS)]
    judge(read(name, answer.decode("utf-8", "replace")))
    if name.startswith("show-table-"):
        chunks = [answer[at : at + size] for at in range(0, len(answer), size)] if size else [answer]
        assert table(chunks) == table([answer])


def read(name: str, text: str) -> object:
    """What a reader gives or raises."""
    try:
        return READERS[name](text)
    except EngineError as error:
        return error


def table(chunks: list[bytes]) -> object:
    """The entries, and None for a table that can't be read."""
    try:
        return entries.entries(chunks)
    except EngineError:
        return None


def judge(found: object) -> None:
    """What an error must be."""
    if isinstance(found, EngineError):
        assert str(found).isprintable(), found
        assert len(str(found)) < 3000, found


def seeds() -> list[bytes]:
    """Every recorded answer, whole, in chunks, and broken in one place."""
    found = []
    for number, name in enumerate(READERS):
        files = sorted(RECORDED.glob(f"*/{name}.txt"))
        for whole in [file.read_bytes() for file in files] or [b"\nNo such server.\n\n\n", b"Permission denied\n\n"]:
            middle = len(whole) // 2
            broken = whole[:middle] + bytes((whole[middle] ^ 0x81,)) + whole[middle + 1 :]
            found += [
                bytes((number, size)) + text
                for size, text in ((0, whole), (7, whole), (0, broken), (0, whole[:middle]))
            ]
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
