"""What is left of secrets in text: nothing, however they were written."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.ways_to_write import WAYS

from lbkit.operate.redaction import Redaction, is_secret_word

SECRET = "kA7/+é x'\"\\&9<%~#_Z"  # each character that some way of writing treats as its own


UNSAID = ("kA7", "9<%~#_Z", "fisk", base64.b64encode(SECRET.encode()).decode()[4:-8])


@pytest.mark.parametrize("way", WAYS)
def test_a_known_secret_goes_however_it_is_written(way: str) -> None:
    found = Redaction({"alerts.password_file": [SECRET]}).clean(f"before {WAYS[way](SECRET)} after")
    assert found.startswith("before ")
    assert found.endswith(" after")
    assert "[REMOVED: alerts.password_file]" in found
    assert not any(one in found for one in UNSAID)


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=0x1FFFF, exclude_categories=["C"]), min_size=8)


@given(PRINTABLE, st.text(max_size=40), st.text(max_size=40), st.sampled_from(sorted(WAYS)))
def test_no_secret_survives_wherever_it_stands(secret: str, before: str, after: str, way: str) -> None:
    written = WAYS[way](secret)
    found = Redaction({"a": [secret]}).clean(before + written + after)
    left = found.replace("[REMOVED: a]", "\0")
    if way.startswith(("Base64", "Basic")):  # the characters at both ends are partly those of its neighbours
        written = base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    assert written not in left


@settings(max_examples=30, deadline=None)  # each compiles patterns of its own, for many characters
@given(st.dictionaries(st.sampled_from("abcdef"), PRINTABLE, min_size=2), st.lists(st.sampled_from("abcdef")))
def test_of_many_secrets_none_survives_side_by_side(secrets: dict[str, str], order: list[str]) -> None:
    text = "".join(secrets[name] for name in order if name in secrets)
    found = Redaction({name: [value] for name, value in secrets.items()}).clean(text)
    for name in secrets:
        found = found.replace(f"[REMOVED: {name}]", "\0")
    assert not any(value in found for value in secrets.values())


@given(st.text(st.characters(exclude_characters=":=@")))
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert Redaction({"a": ["Vq8sPpW2mX"]}).clean(text) == text


PEM = """-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,0A

c2Vj
cmV0
-----END RSA PRIVATE KEY-----"""


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        json.dumps(PEM),
        PEM.replace("\n", "\r\n"),
        "".join(f"  {line}\n" for line in PEM.splitlines()),
        PEM.partition("cmV0")[0],  # cut off
        PEM.replace("RSA ", "OPENSSH "),
        PEM.replace("RSA ", ""),
    ],
)
def test_private_keys_go_and_what_stands_around_them_stays(text: str) -> None:
    found = Redaction({}).clean(f"(before)\n{text}\n(after)")
    assert "c2Vj" not in found
    assert found.startswith("(before)\n")
    assert found.endswith("(after)")
    assert "[REMOVED: private key]" in found


def test_a_certificate_is_no_secret() -> None:
    text = PEM.replace("RSA PRIVATE KEY", "CERTIFICATE")
    assert Redaction({}).clean(text) == text


@pytest.mark.parametrize(
    "line",
    [
        "    stats auth admin:SESAME",
        "    user anna insecure-password SESAME",
        "    user anna password SESAME groups ops",
        "    auth_pass SESAME",
        "rocommunity SESAME 192.0.2.0/24",
        "RWCommunity6 SESAME",
        "rocommunity #SESAME",
        "com2sec -Cn ctx notConfigUser default SESAME",
        'createUser -e 0x80 lbkit SHA-256 "SESAME or so" AES SESAME',
        "usmUser 1 3 0x80 0x6c 0x6c NULL .1.3 SESAME .1.3 SESAME",
        "trapsink 192.0.2.9 SESAME",
        "trap2sink 192.0.2.9 SESAME 162",
        "informsink 192.0.2.9 SESAME",
        "trapsess -v 3 -u lbkit -A SESAME -X SESAME 192.0.2.9",
        "trapcommunity SESAME",
        "authCommunity log,execute SESAME",
        "defAuthPassphrase SESAME",
        "proxy -v 2c -c SESAME 192.0.2.9 .1.3",
        'password = "SESAME"',
        "password='SESAME'",
        "hmac: SESAME",
        '{"smtp_password": "SESAME", "port": 25}',
        "https://hook.example/a?user=x&token=SESAME&x=1",
        'api-key = "SES\\"AME"',
        "GET / Authorization: Basic SESAME",
        "Cookie: LB=SESAME; other=SESAME",
        'http-check send meth GET hdr Authorization "Bearer SESAME" hdr Host x',
        "http-request set-header Authorization SESAME",
        "smtp://anna:SESAME@mail.example:25",
        "see http://SESAME@h/ and ftp://a:SES@AME@h",
        'url = "https://chat.example/services/T0/SESAME"',
        'headers = { Authorization = "Bearer SESAME", Cookie="a=SESAME" }',
        "(authorization=Bearer SESAME)",
        'routing_key = "SESAME"',
        "signing-key: SESAME",
        "pwd=SESAME",
        "passcode = 'SESAME'",
        'bearer = "SESAME"',
    ],
)
def test_what_engines_and_people_call_secret_goes(line: str) -> None:
    found = Redaction({}).clean(f"kept\n{line}\nkept too: 1\n")
    assert "SESAME" not in found
    assert "AME@" not in found
    assert "[REMOVED: " in found
    assert found.startswith("kept\n")
    assert found.endswith("\nkept too: 1\n")


@pytest.mark.parametrize(
    "line",
    [
        'password_file = "secrets/mail"',
        'key_file = "/etc/lbkit/pair/key"',
        '{"key": "alerts.to", "server_key_file": 3}',
        "    cookie LBKIT insert indirect nocache",
        "    server s1 192.0.2.1:443 ssl crt tls/certificates/web.pem",
        '{"secret": false, "token": null, "password": ""}',
        "tcp LISTEN 0 128 127.0.0.1:161",
        "bypass = 1, compass: 2",
        "https://hospital.example/api/health",
        'user = "lbkit"',
        "the proxy answers, and the user anna has a password",
    ],
)
def test_what_only_sounds_like_a_secret_stays(line: str) -> None:
    assert Redaction({}).clean(line) == line


def test_the_longer_of_two_secrets_goes_whole() -> None:
    assert Redaction({"a": ["hunter"], "b": ["hunter2000"]}).clean("hunter2000 hunter") == "[REMOVED: b] [REMOVED: a]"


def test_what_is_too_short_to_be_a_secret_is_left() -> None:
    assert Redaction({"a": ["abc", ""]}).clean("abc") == "abc"


def test_lines_of_a_key_go_where_no_pem_is_around_them() -> None:
    made = Redaction({}, {"certificates.web.key_file": ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"]})
    assert made.clean("x MIIEvQIBADANBgkqhkiG9w0BAQEFAASC y") == "x [REMOVED: certificates.web.key_file] y"


def test_a_document_keeps_its_shape() -> None:
    made = Redaction({"mail": ['se"cret']})
    document = {"a": ['x se"cret', 1, None, {"password": "x", "token": "", "key_file": "k", 'se"cret': True}], "n": 2.5}
    assert made.clean_document(document) == {
        "a": ["x [REMOVED: mail]", 1, None,
              {"password": "[REMOVED: secret]", "token": "", "key_file": "k", "[REMOVED: mail]": True}],
        "n": 2.5,
    }  # fmt: skip


def test_thousands_of_backslashes_are_no_trap() -> None:
    began = time.monotonic()
    made = Redaction({"a": ["\\" * 9 + "Z"], "b": ["\\" * 5]})
    assert made.clean("\\" * 5000 + "Y") == "[REMOVED: b]" * 250 + "Y"  # of each it takes what quoting four times makes
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", ["a.", "a-", "://", "url=", "_key"])
def test_a_long_line_of_anything_is_no_trap(text: str) -> None:
    began = time.monotonic()
    assert Redaction({"a": ["hunter2000"]}).clean(text * 60_000) == text * 60_000
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("key", "is_one"),
    [("hmac", 1), ("smtp_password", 1), ("API-Key", 1), ("signing_key", 1), ("passed", 0), ("key", 0)],
)
def test_words_for_secrets(key: str, is_one: int) -> None:
    assert is_secret_word(key) == bool(is_one)
