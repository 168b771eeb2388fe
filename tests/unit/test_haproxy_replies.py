"""What HAProxy answers, as recorded from both versions, and whatever else may come."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.errors import EngineError, NotAllowed, NotThere
from lbkit.haproxy import replies, rows
from lbkit.haproxy.certificates import loaded, loaded_lists
from lbkit.haproxy.entries import Entry, TableInfo, count, entries, tables
from lbkit.haproxy.master import processes
from lbkit.haproxy.refusals import WorkerEnded, refused
from lbkit.haproxy.wording import key, unquoted

RECORDED = Path(__file__).with_name("haproxy_replies")
VERSIONS = ("2.6.12", "2.8.25")
TABLES = {
    "2.6.12": b"# table: B, type: string, size:10240, used:1\n0x55: key=1 use=0 exp=0 server_id=1 server_key=s1\n\n",
    "2.8.25": b"# table: B, type: string, size:10240, used:1\n0x5: key=1 use=0 exp=0 shard=0 server_id=1 server_key=s1\n\n",
}


@pytest.fixture(params=VERSIONS)
def recorded(request):
    folder = RECORDED / request.param

    def read(name):
        return (folder / f"{name}.txt").read_bytes().decode()

    read.version = request.param
    return read


def test_info_is_read_by_name(recorded):
    found = replies.info(recorded("show-info"))
    assert found["Version"].startswith(recorded.version)
    assert found["Stopping"] == "0"


def test_statistics_are_read_by_name_whatever_the_number_of_columns(recorded):
    found = {(row["pxname"], row["svname"]): row for row in rows.rows(recorded("show-stat"))}
    assert found["B", "s2"]["status"] == "DRAIN"
    assert found["web", "FRONTEND"].number("scur") == 1
    assert found["B", "s1"].number("weight") == 1
    assert found["B", "s1"].number("qlimit") is None
    assert {len(row) for row in found.values()} == {len(recorded("show-stat").partition("\n")[0].split(",")) - 1}


def test_servers_are_read_by_name_with_their_state(recorded):
    found = {(one.backend, one.name): one for one in replies.servers(recorded("show-servers-state"))}
    assert (found["B", "s2"].drain, found["B", "s2"].maint, found["B", "s2"].id) == (True, False, 2)
    assert (found["nowhere", "x"].drain, found["nowhere", "x"].maint) == (False, True)
    assert (found["SRC", "b"].weight, found["SRC", "b"].configured_weight) == (0, 1)
    assert found["B", "s1"].operational_state == replies.RUNNING
    assert found["B", "s1"].address == "127.0.0.1"


def test_sessions_are_read_without_those_of_the_command_line(recorded):
    found = {one.frontend: one for one in replies.sessions(recorded("show-sess"))}
    assert set(found) == {"web", "src", "echo"}
    assert (found["web"].backend, found["web"].server) == ("B", "s1")
    assert found["web"].ident.startswith("0x")
    assert found["web"].source.startswith("127.0.0.1:")
    assert {name: one.connected for name, one in found.items()} == {"web": True, "src": True, "echo": False}


def test_a_session_of_haproxys_own_to_the_other_node_is_left_out():
    own = "0x5573a5200a90: proto=? ts=00 epoch=0 age=1s calls=4 rate=3 cpu=0 lat=0 rq[f=80c020h,i=0] exp=0s"
    assert replies.sessions(f"{own}\n") == []


def test_an_age_that_cannot_be_is_unknown(recorded):
    age = replies.sessions(recorded("show-sess"))[0].age
    assert age == (1.0 if recorded.version == "2.6.12" else None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("5m2s", 302), ("1h30m", 5400), ("2d3h", 183600), ("0d00h00m02s", 2), ("?", None)]
)
def test_times_are_seconds(text, seconds):
    assert replies.seconds(text) == seconds


def test_tables_are_listed_with_type_and_fill(recorded):
    assert tables(recorded("show-table")) == [TableInfo("SRC", "ip", 204800, 2), TableInfo("B", "string", 10240, 2)]


def test_entries_are_read_by_name_and_their_keys_unquoted(recorded):
    found = entries([recorded("show-table-b").encode()])
    assert found == [Entry("1", 1, "s1", None, 0), Entry("a b", 2, None, None, 0)]


def test_entries_with_other_data_and_an_expiry_are_read_too(recorded):
    found = {one.key: one for one in entries([recorded("show-table-src").encode()])}
    assert found["127.0.0.1"].server_key == "a"
    assert 3590 < found["127.0.0.1"].expires_in <= 3600
    assert found["10.1.2.3"].server_id == 2


def test_fields_in_another_order_mean_the_same():
    text = b"# table: T, type: ip, size:1, used:1\n0x1: server_key=a exp=10 new=5 use=3 server_id=7 key=::1\n\n"
    assert entries([text]) == [Entry("::1", 7, "a", 0.01, 3)]


def test_a_table_that_sends_nobody_anywhere_has_no_servers():
    text = b"# table: T, type: ip, size:1, used:1\n0x1: key=1.2.3.4 use=0 exp=10 gpc0=1\n\n"
    assert entries([text]) == [Entry("1.2.3.4", None, None, 0.01, 0)]


def test_an_entry_that_is_not_there_is_none():
    assert entries([b"\n"]) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1, 7, 100])
def test_entries_do_not_hang_on_the_chunks(version, size, monkeypatch):
    monkeypatch.setattr("lbkit.haproxy.entries.PIECE", 64)
    whole = TABLES[version]
    line = whole.splitlines(keepends=True)[1]
    text = whole[:-1] + b"".join(line.replace(b"key=1 ", b"key=%d " % n) for n in range(2, 40)) + b"\n"
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert [one.key for one in entries(chunks)] == [str(n) for n in range(1, 40)]
    assert count(chunks) == 39


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_that_breaks_off_anywhere_is_noticed(version):
    whole = TABLES[version]
    header = whole.index(b"\n") + 1
    for end in range(header, len(whole)):
        with pytest.raises(EngineError, match=r"can't be read"):
            entries([whole[:end]])
    assert len(entries([whole])) == 1


def test_one_line_that_reads_otherwise_is_noticed():
    text = TABLES["2.6.12"][:-1] + b"0x56: key=2 use=0 exp=0 server_id=? server_key=s1\n\n"
    with pytest.raises(EngineError, match=r"`show table` can't be read"):
        entries([text])


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1))
def test_what_haproxy_prints_of_a_key_is_the_key(text):
    printed = b"".join(
        b"\\" + bytes((byte,)) if byte in b" \\=" else bytes((byte,)) if 32 < byte < 127 else b"\\x%02X" % byte
        for byte in text.encode()
    )
    assert unquoted(printed.decode()) == text
    assert unquoted(key(text)) == text


def test_processes_are_read_with_old_workers_and_failed_reloads(recorded):
    master, current, old = processes(recorded("show-proc"))
    assert (master.kind, master.reloads, master.failed) == ("master", 1, 0)
    assert (current.kind, current.old, old.old) == ("worker", False, True)
    assert current.version.startswith(recorded.version)
    failed = (
        recorded("show-proc").replace("1 [failed: 0]", "101 [failed: 100]").replace("0d00h00m02s", "1d02h03m04s", 1)
    )
    assert processes(failed)[0].failed == 100
    assert processes(failed)[0].uptime == 93784


def test_programs_are_no_workers(recorded):
    text = recorded("show-proc").rstrip("\n") + "\n12 api 0 0d00h00m02s -\n# old programs\n13 api 1 0d00h00m02s -\n\n"
    assert len(processes(text)) == 3


def test_certificates_are_read_with_serial_and_fingerprint(recorded):
    (own,) = loaded(recorded("show-ssl-cert"), "srv.pem")
    (ca,) = loaded(recorded("show-ssl-ca-file"), "ca.pem")
    assert own.issuer == ca.subject
    assert len(own.fingerprint) == len(ca.fingerprint) == 40
    assert own.not_after == "Jan  1 00:00:00 3000 GMT"


def test_acl_entries_are_read(recorded):
    assert replies.acl_entries(recorded("show-acl")) == ["10.0.0.1"]


CSV = "# pxname,svname,last_chk,scur,\n"


def test_commas_quotes_and_line_breaks_in_a_value_shift_nothing():
    (row,) = rows.rows(CSV + 'A,s1,"503 Service, ""Un\navailable""",4,\n\n')
    assert row["last_chk"] == '503 Service, "Un\navailable"'
    assert row.number("scur") == 4


@pytest.mark.parametrize(
    "text", [CSV + "A,s1\n", "pxname,svname\n", "# a,b,\n1,2,\n", "", "# ", '# pxname,svname,\n"', "# \n\n"]
)
def test_statistics_that_are_torn_are_noticed(text):
    with pytest.raises(EngineError, match=r"`show stat` can't be read"):
        rows.rows(text)


def test_a_number_that_is_none_is_noticed():
    with pytest.raises(EngineError, match="column scur is 'x', and no number"):
        rows.rows(CSV + "A,s1,,x,\n")[0].number("scur")


def test_answers_of_one_line_are_told_apart():
    assert replies.split("\nNo such server.\n\n\na\nb\n\n", 4) == ["", "No such server.", "", "a\nb"]


@pytest.mark.parametrize("text", ["", "\n", "\n\n\n", "a\nb\n\n"])
def test_too_few_and_too_many_answers_are_noticed(text):
    with pytest.raises(EngineError, match="answers to 2 commands"):
        replies.split(text, 2)


@pytest.mark.parametrize(
    ("command", "answer", "error", "says"),
    [
        ("set server B/s1 state drain", "Permission denied", NotAllowed, "needs level admin"),
        ("show sess", "Permission denied", NotAllowed, "needs level operator"),
        ("show ssl cert", "Can't allocate memory!", NotAllowed, "needs level operator"),
        (
            "show table B",
            "# table: B, type: ip, size:1, used:0\n# contents not dumped due to insufficient privileges",
            NotAllowed,
            "contents not dumped due to insufficient privileges. It needs level operator",
        ),
        ("set server X/s1 state drain", "No such backend.", NotThere, "No such backend. Check the name"),
        ("set server B/x state drain", "No such server.", NotThere, "No such server"),
        ("show stat X -1 -1", "No such proxy.", NotThere, "No such proxy"),
        ("show table X", "No such table", NotThere, "No such table"),
        ("show servers state X", "Can't find backend.", NotThere, "Can't find backend"),
        ("shutdown session 0x1", "No such session (use 'show sess').", NotThere, "It has ended."),
        ("show sess 0x1", "Session not found.", NotThere, "It has ended."),
        ("del acl f 1", "Key not found.", NotThere, "Key not found"),
        ("show acl f", "Unknown ACL identifier. Please use #<id> or <file>.", NotThere, "Unknown ACL"),
        ("show sess", "Can't find the target PID matching the prefix '@!99'", WorkerEnded, "has ended"),
        (
            "frob",
            "Unknown command: 'frob', but maybe one of",
            EngineError,
            "does not take `frob`: Unknown command: 'frob'. Is",
        ),
    ],
)
def test_every_way_to_say_no_has_its_error(command, answer, error, says):
    found = refused("HAProxy at x", command, answer + "\n\n")
    assert type(found) is error
    assert says in str(found)
    assert f"`{command}`" in str(found) or error is WorkerEnded


def test_what_says_yes_is_no_refusal(recorded):
    for file in RECORDED.glob("*/*.txt"):
        assert refused("x", "y", file.read_text()) is None, file


READERS = {
    "info": replies.info,
    "servers": replies.servers,
    "sessions": replies.sessions,
    "acl": replies.acl_entries,
    "rows": rows.rows,
    "tables": tables,
    "entries": lambda text: entries([text.encode()]),
    "processes": processes,
    "certificates": lambda text: loaded(text, "f"),
    "revocation lists": loaded_lists,
    "split": lambda text: replies.split(text, 3),
    "refused": lambda text: refused("x", "y", text),
}
PARTS = st.sampled_from(
    [line for file in sorted(RECORDED.glob("*/*.txt")) for line in file.read_text().splitlines(keepends=True)]
)


@pytest.mark.parametrize("reader", READERS)
@given(text=st.text() | st.lists(PARTS | st.text(max_size=4)).map("".join))
def test_whatever_comes_raises_engine_errors_alone(reader, text):
    try:
        found = READERS[reader](text)
    except EngineError as e:
        found = e
    assert str(found).isprintable() or not isinstance(found, EngineError)
