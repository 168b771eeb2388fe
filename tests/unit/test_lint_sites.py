"""Each file of sites/ breaks one rule, and has in its `#!` lines exactly what is found, in this order.

In them `{folder}` stands for the folder of the site file, and `{x.pem}` for the subject of tls/x.pem. `#@ 2031-12-31` sets
the clock. Beside each file lies tls/, which is made here.
"""

import ast
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import lbkit.haproxy
import lbkit.lint
import lbkit.site
from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.lint import lint
from lbkit.testing import ThrowawayCA
from lbkit.tls.certificate import read_certificates

SITES = sorted((Path(__file__).parent / "sites").glob("*.toml"))
NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECRET = b"open-sesame"


def identity(name, issued):
    """Certificate and key in one PEM file, as most are kept."""
    return name, Path(issued.cert_file).read_bytes() + Path(issued.key_file).read_bytes()


def identity_files(ca, other):
    both = ca.issue("ccw.hospital.example")
    locked = ca.locked(both, SECRET)
    certificate = Path(both.cert_file).read_bytes()
    yield identity("both.pem", both)
    yield identity("open.pem", both)
    yield identity("client.pem", ca.issue("client", usage="client"))
    yield identity("server.pem", ca.issue("server", usage="server"))
    yield identity("expired.pem", ca.issue("expired", not_after=NOW))
    yield identity("soon.pem", ca.issue("soon", not_after=datetime(2030, 1, 30, 23, tzinfo=UTC)))
    yield "certificate-alone.pem", certificate
    yield "both.key", Path(both.key_file).read_bytes()
    yield "open.key", Path(both.key_file).read_bytes()
    yield "other.key", Path(other.server.key_file).read_bytes()
    yield "locked.key", Path(locked.key_file).read_bytes()
    yield "locked.pfx", Path(ca.pfx(both, SECRET)).read_bytes()
    yield "right.password", SECRET + b"\n"
    yield "open.password", SECRET + b"\n"
    yield "other.password", b"not-" + SECRET
    yield "broken.pem", certificate[:300]
    yield "empty", b""


def family_files(ca, other):
    cas = Path(ca.ca_file).read_bytes() + Path(other.ca_file).read_bytes()
    crl = Path(ca.revocation_list(next_update=datetime(2030, 1, 1, 1, tzinfo=UTC))).read_bytes()
    yield "ca.pem", Path(ca.ca_file).read_bytes()
    yield "other-ca.pem", Path(other.ca_file).read_bytes()
    yield "both-cas.pem", cas
    yield "both-cas-and-list.pem", cas + crl
    yield "ca.crl", crl
    revoked = ca.issue("revoked")
    yield identity("revoked.pem", revoked)
    until = datetime(2030, 1, 1, 1, tzinfo=UTC)
    yield "revoking.crl", Path(ca.revocation_list(revoked, next_update=until)).read_bytes()
    yield "old.crl", Path(ca.revocation_list(next_update=NOW)).read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with tls/ in it; only what is called open.* may be read by all."""
    folder = tmp_path_factory.mktemp("site")
    made = tmp_path_factory.mktemp("made")
    ca, other = ThrowawayCA(made), ThrowawayCA(made)
    (folder / "tls").mkdir()
    for name, content in (*identity_files(ca, other), *family_files(ca, other)):
        (folder / "tls" / name).write_bytes(content)
        (folder / "tls" / name).chmod(0o644 if name.startswith("open.") else 0o640)
    os.mkfifo(folder / "tls" / "pipe")
    return folder


@pytest.fixture(scope="module")
def kinds():
    """Of whatever is installed, those that the sites speak of."""
    return {name: Registry().kind(name).params for name in ("c-echo", "connect", "https-get")}


def expected(file):
    """The `#!` lines of a site file."""
    return re.findall(r"^#! (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)


def found(file, folder, kinds):
    """What `lint` finds in a copy of `file` in `folder`, as `#!` lines have it."""
    text = file.read_text(encoding="utf-8")
    copy = folder / file.name
    copy.write_text(text, encoding="utf-8")
    clock = re.search(r"^#@ (.*)$", text, re.MULTILINE)
    now = datetime.fromisoformat(clock[1]).replace(tzinfo=UTC) if clock else NOW
    for finding in lint(copy, kinds, now, Registry().kind):
        yield re.sub(r"^:(\d+)", r"\1", str(finding).removeprefix(str(copy))).removeprefix(": ")


def filled_in(line, folder):
    line = line.replace("{folder}", str(folder))
    return re.sub(r"\{([\w-]+\.pem)\}", lambda m: read_certificates(str(folder / "tls" / m[1]))[0].subject, line)


def rule(line):
    return line.rpartition("(")[2].removesuffix(")")


@pytest.mark.parametrize("file", SITES, ids=lambda file: file.stem)
def test_of_a_site_exactly_what_it_says_itself_is_found(file, folder, kinds):
    assert list(found(file, folder, kinds)) == [filled_in(line, folder) for line in expected(file)]


@pytest.mark.parametrize("file", SITES, ids=lambda file: file.stem)
def test_a_site_is_named_after_a_rule_that_it_breaks(file):
    rules = {rule(line) for line in expected(file)}
    assert any(file.stem == one or file.stem.startswith(f"{one}-") for one in rules or {"nothing-wrong"})


def rules_in(package):
    """The first argument of each `_error(…)` and `_warning(…)`, and the second of each `Problem(…)`."""
    position = {"_error": 0, "_warning": 0, "Problem": 1}
    for module in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in position:
                argument = node.args[position[node.func.id]]
                if isinstance(argument, ast.Constant):
                    yield argument.value


def test_each_rule_of_the_sources_has_a_site_that_breaks_it():
    sources = {*rules_in(lbkit.site), *rules_in(lbkit.lint), *rules_in(lbkit.haproxy)}
    assert {rule(line) for file in SITES for line in expected(file)} == sources


def test_no_finding_quotes_a_key_or_a_password(folder, kinds):
    secrets = [SECRET.decode(), *(folder / "tls" / "both.key").read_text().splitlines()[1:-1]]
    for file in SITES:
        for line in found(file, folder, kinds):
            assert not any(secret in line for secret in secrets)


@pytest.mark.parametrize("name", ["both.key", "locked.key", "right.password"])
def test_a_key_or_password_that_is_taken_for_a_site_file_is_not_quoted(name, folder, kinds):
    content = (folder / "tls" / name).read_bytes()
    try:
        said = "\n".join(map(str, lint(folder / "tls" / name, kinds)))
    except Misuse as e:
        said = str(e)
    assert "this is no" in said
    words = [word for word in re.findall(rb"[\w+/=-]{6,}", content) if word not in (b"PRIVATE", b"ENCRYPTED")]
    assert words
    assert not [word for word in words if word.decode("latin-1") in said]
