"""What https-get may be given: by a model, by the command line of the probe; both say the same."""

import subprocess
import sys

import pytest
from unit.http_bytes import UP, answer
from unit.remotes import replies, silent

from lbkit import check
from lbkit.errors import Misuse
from lbkit_https_get.plugin import HttpsGetParams, lbkit_checks
from lbkit_probe import door, https_get

(KIND,) = lbkit_checks()
WHERE = ("192.0.2.1", "443", "127.0.0.1", "1")


@pytest.fixture
def probe(capsys):
    def run(*argv):
        code = door.main(["https-get", *(str(word) for word in argv)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_the_defaults_are_those_of_the_guides_vip_5():
    params = HttpsGetParams()
    assert (params.port, params.tls, params.path, params.status) == (443, True, "/api/health/", (200,))
    assert (params.match, params.body) == ("equals", "allServicesOperative")


def test_the_options_and_defaults_of_the_probe_are_those_of_the_model():
    options = {**door.COMMON, **door.TLS_OPTIONS, **https_get.OPTIONS}
    fields = {name.replace("_", "-"): f.default for name, f in HttpsGetParams.model_fields.items() if name != "port"}
    assert options == {name: "" if default is None else default for name, default in fields.items()}
    assert {name: type(value) for name, value in options.items()} == {
        name: str if default is None else type(default) for name, default in fields.items()
    }


MISUSE = [
    ("path", "health", "'health' does not begin with a slash"),
    ("path", "", "'' does not begin with a slash"),
    ("path", "/a b", "a path has only printable ASCII, no spaces and no #"),
    ("path", "/a\r\nX: y", "a path has only printable ASCII"),
    ("path", "/ä", "a path has only printable ASCII"),
    ("path", "/a#b", "no #"),
    ("path", "/" + "a" * 2048, "the path has 2049 characters; at most 2048 are sent"),
    ("host", "a b", "'a b' is no host; write NAME, NAME:PORT or [IPV6]:PORT"),
    ("host", "a\r\nX: y", "is no host"),
    ("host", "a/b", "is no host"),
    ("host", "user@a", "is no host"),
    ("host", "ä.example", "is no host"),
    ("body", "(", "'(' is no regular expression: missing ), unterminated subpattern at position 0"),
    ("body", "a{99999999999}", "is no regular expression"),
]


@pytest.mark.parametrize(("name", "value", "said"), MISUSE)
def test_what_can_not_be_used_is_misuse_by_both_doors(probe, name, value, said):
    with pytest.raises(Misuse) as raised:
        KIND.prepare({name: value, "match": "regex"})
    code, printed = probe(*WHERE, f"--{name}", value, "--match=regex")
    assert said in str(raised.value)
    assert code == 1
    assert said in printed
    assert "defect" not in printed


@pytest.mark.parametrize(
    ("name", "value", "words", "said"),
    [
        ("status", 199, "--status=199", "199 is no number from 200 to 599"),
        ("status", 600, "--status=600", "600 is no number from 200 to 599"),
        ("status", "ok", "--status=ok", "ok is no number from"),
        ("max_body", 0, "--max-body=0", "0 is no number from 1 to 16777216"),
        ("max_body", 1 << 25, "--max-body=33554432", "is no number from 1 to"),
        ("redirects", -1, "--redirects=-1", "-1 is no number from 0 to 10"),
        ("redirects", 11, "--redirects=11", "11 is no number from 0 to 10"),
        ("redirects", 11, "--redirects=" + "1" * 5000, "is no number"),
        ("status", 600, "--status=" + "1" * 5000, "is no number from 200 to 599"),
        ("match", "like", "--match=like", "'like' is none of equals, contains, regex, anything"),
    ],
)
def test_numbers_and_choices_have_the_same_bounds_by_both_doors(probe, name, value, words, said):
    with pytest.raises(Misuse, match=name):
        KIND.prepare({name: (value,) if name == "status" else value})
    code, printed = probe(*WHERE, words)
    assert code == 1
    assert said in printed
    assert "defect" not in printed


def test_no_expected_status_at_all_is_misuse():
    with pytest.raises(Misuse, match="status"):
        KIND.prepare({"status": ()})


def test_files_without_tls_are_misuse():
    with pytest.raises(Misuse, match="ca_file is given without tls"):
        KIND.prepare({"tls": False, "ca_file": "ca.pem"})


def test_each_option_reaches_the_exchange_by_both_doors(probe, listener):
    def script(client):
        asked = client.recv(65536)
        body = b"as asked" if asked.startswith(b"GET /x HTTP/1.1\r\nHost: ccw.example\r\n") else asked
        client.sendall(answer(body, b"418 Teapot"))

    remote = listener(script)
    terms = {"path": "/x", "host": "ccw.example", "status": (200, 418), "match": "regex", "body": "^as", "max_body": 8}
    result = check("https-get", remote.target, tls=False, redirects=1, **terms)
    assert result.status == "up", result.message
    words = ["--no-tls", "--path=/x", "--host=ccw.example", "--status=200", "--status", "418", "--redirects=1"]
    code, printed = probe("vip", 0, "127.0.0.1", remote.port, *words, "--match=regex", "--body", "^as", "--max-body=8")
    assert code == 0, printed
    code, printed = probe("vip", 0, "127.0.0.1", remote.port, *words, "--match=anything", "--max-body=7")
    assert code == 1
    assert "(body-too-large)" in printed


def test_a_status_that_is_given_to_the_probe_replaces_the_default(probe, listener):
    remote = listener(replies(UP))
    code, printed = probe("vip", 0, "127.0.0.1", remote.port, "--no-tls", "--status=204")
    assert code == 1
    assert "down at status (http-status)" in printed


def test_tls_is_on_unless_it_is_switched_off(probe, listener):
    port = listener(silent).port
    assert "during the TLS handshake" in probe("vip", 0, "127.0.0.1", port, "--timeout=0.1")[1]
    assert "at request (timed-out)" in probe("vip", 0, "127.0.0.1", port, "--timeout=0.1", "--no-tls")[1]
    closes = listener(lambda client: client.recv(65536)).port
    assert "expects TLS (leave --no-tls out)" in probe("vip", 0, "127.0.0.1", closes, "--no-tls")[1]


# --- what it imports ------------------------------------------------------------------------------------------------

ALONE = """
import sys
sys.path[:] = {path!r}
import h11
of_h11 = {{*sys.modules}}
import lbkit_probe.door as door
assert door.main(['https-get', 'vip', '0', '127.0.0.1', '{port}', '--no-tls']) == 0
print(*{{*sys.modules}} - of_h11)
"""
OURS = {
    "lbkit",
    "lbkit.checks",
    "lbkit.checks.blocking",
    "lbkit.checks.conversation",
    "lbkit.checks.names",
    "lbkit.errors",
    "lbkit_https_get",
    "lbkit_https_get.answer",
    "lbkit_https_get.exchange",
    "lbkit_https_get.terms",
    "lbkit_probe",
    "lbkit_probe.door",
    "lbkit_probe.https_get",
}


def test_on_the_way_to_up_the_probe_imports_h11_what_that_needs_and_c_modules_and_ours_alone(listener):
    """Each module costs every check on every load balancer; see docs/performance.md before you add one."""
    code = ALONE.format(path=sys.path, port=listener(replies(UP)).port)
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    verdict, imported = ran.stdout.splitlines()
    assert " up " in verdict
    assert set(imported.split()) == OURS | {"_socket"}


def test_h11_brings_nothing_to_the_probe_that_talks_to_networks_or_validates():
    code = f"import sys; sys.path[:] = {sys.path!r}; import h11; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not {"socket", "ssl", "_ssl", "asyncio", "pydantic", "select", "urllib"} & set(ran.stdout.split())
