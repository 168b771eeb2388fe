"""`lbkit-probe`: its arguments, its two exit codes, its one line, and how little it imports."""

import io
import subprocess
import sys

import pytest
from unit.pdu_bytes import ASSOCIATE_AC, ECHO_RSP, RELEASE_RP, associate_rj, echo_rsp, element
from unit.remotes import replies, silent

from lbkit.checks.connect import ConnectParams
from lbkit.checks.kind import Params, TlsTerms
from lbkit.errors import LbkitError
from lbkit_dicom_echo.plugin import EchoParams
from lbkit_mtls.plugin import MtlsParams
from lbkit_probe import c_echo, connect, door, mtls

SERVES = replies(ASSOCIATE_AC, ECHO_RSP, RELEASE_RP)


@pytest.fixture
def probe(capsys):
    """`probe(argument, …)`: (exit code, what it printed, what it complained about)."""

    def run(*argv):
        code = door.main([str(word) for word in argv])
        said = capsys.readouterr()
        assert (said.out + said.err).count("\n") == 1
        return code, said.out, said.err

    return run


@pytest.fixture
def misuse(probe):
    def run(*argv):
        code, out, err = probe(*argv)
        assert (code, out) == (1, "")
        assert err.startswith("lbkit-probe: ")
        assert "defect" not in err
        return err

    return run


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_up_is_exit_0_and_one_line(probe, listener):
    port = listener(SERVES).port
    code, out, err = probe("c-echo", "192.0.2.1", 104, "127.0.0.1", port)
    assert (code, err) == (0, "")
    assert out.startswith(f"c-echo 127.0.0.1:{port} up ")
    assert out.endswith(" ms: answers C-ECHO with Success\n")


def test_down_is_exit_1_and_says_where_and_why(probe, listener):
    port = listener(replies(associate_rj(1, 1, 7))).port
    code, out, err = probe("c-echo", "192.0.2.1", 104, "127.0.0.1", port, "--aec", "OTHER")
    assert (code, err) == (1, "")
    assert out.startswith(f"c-echo 127.0.0.1:{port} down at associate (rejected) ")
    assert "The remote is not called OTHER" in out


def test_connect_is_up_when_the_port_takes_connections(probe, listener):
    remote = listener(silent)
    assert probe("connect", "vip", 1, "127.0.0.1", remote.port)[0] == 0
    remote.close()
    assert probe("connect", "vip", 1, "127.0.0.1", remote.port)[0] == 1


@pytest.mark.parametrize("rport", ["0", "", "NOT_USED"])
def test_without_a_port_of_the_real_server_it_is_the_vips(probe, listener, rport):
    port = listener(silent).port
    code, out, _ = probe("connect", "192.0.2.1", port, "127.0.0.1", rport)
    assert code == 0
    assert f"127.0.0.1:{port} up" in out


def test_the_vip_is_not_looked_at(probe, listener):
    assert probe("connect", "NOT_USED", "NOT_USED", "127.0.0.1", listener(silent).port)[0] == 0


def test_an_ipv6_address_is_shown_in_brackets(probe):
    assert "[::1]:1 " in probe("connect", "vip", 1, "::1", 1, "--timeout", "1")[1]


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--accept-status", "0110H"], ["--accept-status=0122H", "--accept-status=0x0110"]])
def test_an_option_may_be_written_in_both_ways_and_given_several_times(probe, listener, words):
    port = listener(replies(ASSOCIATE_AC, echo_rsp(0x0110), RELEASE_RP)).port
    assert probe("c-echo", "vip", 0, "127.0.0.1", port, *words)[0] == 0


def test_busy_up_counts_a_transient_rejection_as_up(probe, listener):
    port = listener(replies(associate_rj(2, 3, 1))).port
    assert probe("c-echo", "vip", 0, "127.0.0.1", port)[0] == 1
    assert probe("c-echo", "vip", 0, "127.0.0.1", port, "--busy", "up")[0] == 0


def test_the_timeout_is_an_option(probe, listener):
    code, out, _ = probe("c-echo", "vip", 0, "127.0.0.1", listener(silent).port, "--timeout=0.05")
    assert code == 1
    assert "down at associate (timed-out)" in out
    assert "no answer within 0.05 s" in out


def test_tls_can_be_switched_on_and_off_again(probe, listener):
    port = listener(silent).port
    assert probe("connect", "vip", 0, "127.0.0.1", port, "--tls", "--no-tls")[0] == 0
    assert "(timed-out)" in probe("connect", "vip", 0, "127.0.0.1", port, "--tls", "--timeout=0.05")[1]


def test_the_options_and_defaults_are_those_of_lbkit_check():
    for module, params in ((c_echo, EchoParams), (connect, ConnectParams), (mtls, MtlsParams)):
        options = {**door.COMMON, **door.TLS_OPTIONS, **module.OPTIONS}
        fields = {name.replace("_", "-"): field for name, field in params.model_fields.items() if name != "port"}
        assert set(options) == set(fields)
        for name, default in options.items():
            assert default == ("" if fields[name].default is None else fields[name].default), name
            assert type(default) is type(fields[name].default) or fields[name].default is None, name
    own = TlsTerms.model_fields.keys() - Params.model_fields.keys()
    assert set(door.TLS_OPTIONS) == {name.replace("_", "-") for name in own}


# --- misuse ---------------------------------------------------------------------------------------------------------

WHERE = ("192.0.2.1", "104", "127.0.0.1", "1")


@pytest.mark.parametrize("argv", [(), ("c-echo",), ("c-echo", *WHERE[:3])])
def test_too_few_arguments_are_misuse_with_the_usage(misuse, argv):
    said = misuse(*argv)
    assert f"{len(argv)} arguments are given, at least 5 are needed" in said
    assert "lbkit-probe NAME VIP VPORT RIP RPORT" in said


@pytest.mark.parametrize("name", ["nothing", "", "-", "../door", "door", "c_echo", "os.path", "c-echo.x", "Ä"])
def test_an_unknown_check_is_misuse(misuse, name):
    assert f"no check is called {name!r}" in misuse(name, *WHERE)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (("vip", "0", "127.0.0.1", "0"), "neither RPORT '0' nor VPORT '0' is a port"),
        (("vip", "NOT_USED", "127.0.0.1", ""), "neither RPORT '' nor VPORT 'NOT_USED' is a port"),
        (("vip", "104", "NOT_USED", "104"), "RIP 'NOT_USED' is no address"),
        (("vip", "104", "", "104"), "RIP '' is no address"),
        (("vip", "104", "127.0.0.1", "65536"), "'65536' is no port. A port is a number from 1 to 65535"),
        (("vip", "x", "127.0.0.1", "0"), "'x' is no port"),
        (("vip", "104", "127.0.0.1", "-1"), "'-1' is no port"),
        (("vip", "104", "127.0.0.1", "\uff11"), "is no port"),
    ],
)
def test_a_place_that_is_none_is_misuse(misuse, where, said):
    assert said in misuse("connect", *where)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--aex", "A"),
            "'--aex' is no option of this check. There are: --accept-status, --aec, --aet, --busy, --ca-file",
        ),
        (("aet",), "'aet' is no option"),
        (("-v",), "'-v' is no option"),
        (("--",), "'--' is no option"),
        (("--aet",), "--aet is not used like this: give --aet VALUE"),
        (("--no-aet", "A"), "--no-aet is not used like this: give --aet VALUE"),
        (("--tls=yes",), "--tls takes no value"),
        (("--timeout", "soon"), "--timeout: 'soon' is no number"),
        (("--timeout", "0"), "--timeout: 0 is out of range"),
        (("--timeout", "nan"), "--timeout: nan is out of range"),
        (("--timeout", "inf"), "--timeout: inf is out of range"),
        (("--timeout", "3601"), "--timeout: 3601 is out of range. Give seconds, above 0 and up to 3600"),
        (("--aet", "x" * 17), "has 17 characters; an AE title has at most 16"),
        (("--aec", ""), "an AE title has at least one character that is not a space"),
        (("--aec", "A\nB"), "'A\\nB': an AE title has only printable ASCII"),
        (("--accept-status", "12"), "'12' is no status"),
        (("--busy", "perhaps"), "--busy: 'perhaps' is neither up nor down"),
        (("--ca-file", "x"), "--ca-file: no use without TLS. Give --tls too."),
        (("--crl-file=x", "--server-name=x"), "--crl-file and --server-name: no use without TLS."),
        (
            ("--tls", "--ca-file", "/nowhere/ca.pem"),
            "--ca-file: /nowhere/ca.pem can't be read: No such file or directory",
        ),
        (("--tls", "--key-file", "x"), "Give --cert-file too"),
    ],
)
def test_a_wrong_option_is_misuse(misuse, words, said):
    assert said in misuse("c-echo", *WHERE, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--warning-days", "soon"), "--warning-days: 'soon' is no number"),
        (("--warning-days", "1.5"), "--warning-days: '1.5' is no number"),
        (("--critical-days", "31"), "mtls: critical_days is 31; it must be from 0 to warning_days, which is 30."),
        (("--warning-days=-1", "--critical-days=-1"), "mtls: critical_days is -1"),
        (("--tls",), "'--tls' is no option of this check"),
        (("--key-password-file", "/nowhere"), "--key-password-file: a password needs its certificate"),
    ],
)
def test_a_wrong_option_of_mtls_is_misuse(misuse, words, said):
    assert said in misuse("mtls", *WHERE, *words)


# --- crashes and closed outputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), MemoryError(), SystemExit(0), RecursionError("deep")])
def test_a_crash_is_exit_1_and_says_that_it_is_one(probe, monkeypatch, error):
    def crash(options, host, port):
        raise error

    monkeypatch.setattr(connect, "protocol", crash)
    code, out, err = probe("connect", *WHERE)
    assert (code, out) == (1, "")
    assert type(error).__name__ in err
    assert "This is a defect of lbkit; please report it." in err


def test_what_this_machine_gets_wrong_is_exit_1(probe, monkeypatch):
    def crash(options, host, port):
        raise LbkitError("a socket can't be opened")

    monkeypatch.setattr(connect, "protocol", crash)
    assert probe("connect", *WHERE) == (1, "", "lbkit-probe: a socket can't be opened\n")


def test_characters_that_the_output_has_not_do_not_turn_up_into_down(listener, monkeypatch):
    answer = echo_rsp(0x0110, comment=element(0x0902, b"broken"))
    port = listener(replies(ASSOCIATE_AC, answer, RELEASE_RP)).port
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert door.main(["c-echo", "vip", "0", "127.0.0.1", str(port), "--accept-status=0110H"]) == 0
    out.flush()
    assert b"(?broken?), accepted as asked" in out.buffer.getvalue()


ALONE = f"import sys; sys.path[:] = {sys.path!r}; before = {{*sys.modules}}; import lbkit_probe.door as door; "


def alone(code, outputs=""):
    command = ["sh", "-c", f'exec "$@" {outputs}', "sh", sys.executable, "-I", "-S", "-c", ALONE + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_with_its_outputs_closed_as_haproxy_does_it_still_tells_up_from_down(listener):
    up, down = listener(SERVES).port, listener(replies(associate_rj(1, 1, 1))).port
    for port, code in ((up, 0), (down, 1), (0, 1)):
        ran = alone(f"door.leave(door.main(['c-echo', 'vip', '0', '127.0.0.1', '{port}']))", "<&- >&- 2>&-")
        assert ran.returncode == code


def test_a_full_disk_behind_its_output_does_not_change_the_verdict(listener):
    ran = alone(
        f"door.leave(door.main(['connect', 'vip', '0', '127.0.0.1', '{listener(silent).port}']))",
        "<&- >/dev/full",
    )
    assert ran.returncode == 0


# --- what it imports ------------------------------------------------------------------------------------------------

OURS = {
    "lbkit",
    "lbkit.checks",
    "lbkit.checks.blocking",
    "lbkit.checks.conversation",
    "lbkit.checks.names",
    "lbkit.errors",
    "lbkit_probe",
    "lbkit_probe.door",
}
OF_C_ECHO = {"lbkit_dicom_echo", "lbkit_dicom_echo.echo", "lbkit_dicom_echo.pdu", "lbkit_probe.c_echo"}
OF_TLS = {"lbkit.checks.context", "lbkit.tls", "lbkit.tls.files", "lbkit.tls.watched"}
OF_MTLS = {
    "lbkit_mtls",
    "lbkit_mtls.certificates",
    "lbkit_mtls.handshake",
    "lbkit_mtls.prepared",
    "lbkit_mtls.verdict",
    "lbkit_probe.mtls",
}


@pytest.fixture
def imports():
    """`imports(argument, …)`: what the probe imports for a check that is up."""

    def run(*argv):
        words = [str(word) for word in argv]
        ran = alone(f"\nassert door.main({words!r}) == 0\nprint(*{{*sys.modules}} - before)\n")
        assert ran.returncode == 0, ran.stderr
        verdict, imported = ran.stdout.splitlines()
        assert " up " in verdict
        return set(imported.split())

    return run


def test_on_the_way_to_up_it_imports_c_modules_and_ours_alone(imports, listener):
    """Each module costs every check on every load balancer; see docs/performance.md before you add one."""
    assert imports("c-echo", "vip", 0, "127.0.0.1", listener(SERVES).port) == OURS | OF_C_ECHO | {"_socket", "_struct"}


def test_so_it_does_inside_tls_and_with_a_client_certificate(imports, listener, throwaway_ca):
    context = throwaway_ca.server_context(wants_client=True)

    def script(client):
        with context.wrap_socket(client, server_side=True) as secured:
            while secured.recv(4096):
                pass

    port, files = listener(script).port, throwaway_ca.client
    options = ("--ca-file", throwaway_ca.ca_file, "--cert-file", files.cert_file, "--key-file", files.key_file)
    found = imports("connect", "vip", 0, "127.0.0.1", port, "--tls", *options)
    assert found == OURS | OF_TLS | {"lbkit.checks.tls", "lbkit_probe.connect", "_socket", "_ssl"}
    assert imports("mtls", "vip", 0, "127.0.0.1", port, *options) == OURS | OF_TLS | OF_MTLS | {
        "_datetime",
        "_socket",
        "_ssl",
    }
