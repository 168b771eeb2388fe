"""What is rendered, HAProxy takes: any site that lint has no error for, and the whole CCW site on this machine."""

from __future__ import annotations

import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, assume, event, given, settings
from interop.engines import HAPROXIES, haproxy, haproxy_of, running, short
from interop.remotes import free_port
from interop.sites import sites, write_identities

from lbkit.checks.registry import Registry
from lbkit.errors import EngineError, Misuse
from lbkit.haproxy.program import Program, check
from lbkit.haproxy.render import render
from lbkit.install.files import stage
from lbkit.lint import lint
from lbkit.site import profiles
from lbkit.site.findings import SiteInvalid
from lbkit.site.load import load_site

__all__ = ["haproxy", "short"]

EXAMPLES = int(os.environ.get("LBKIT_EXAMPLES", "50"))
OF_HAPROXY = {"not-native"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_identities(folder)
    return folder


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(document=sites())
def test_haproxy_takes_every_site_that_lint_has_no_error_for(
    folder: Path, registry: Registry, document: dict[str, Any]
) -> None:
    file = folder / "site.toml"
    file.write_text(tomlkit.dumps(document), encoding="utf-8")
    try:
        site = load_site(file, registry.models())
    except SiteInvalid:
        assume(False)
    errors = {one.rule for one in lint(file, registry.models(), kind_of=registry.kind) if one.severity == "error"}
    assert errors <= OF_HAPROXY
    for version in HAPROXIES:
        program = haproxy_of(version)
        if errors:
            with pytest.raises(Misuse) as e:
                render(site, registry.kind, "lb1", program.version)
            assert all(rule in str(e.value) for rule in errors)
            continue
        files = render(site, registry.kind, "lb1", program.version).files
        event("accepted")
        with tempfile.TemporaryDirectory() as staged:
            stage(files, Path(site.haproxy.folder), Path(staged, "s"))
            check(program, Path(staged, "s", "haproxy.cfg"))


def ccw(folder: Path) -> str:
    """The profile on loopback addresses that no demo has, and on ports that any account may have."""
    text = re.sub(r'^(address = ")192\.32\.', r"\g<1>127.7.", profiles.text("ccw"), flags=re.M)
    text = re.sub(
        r"^ports? = .*",
        lambda line: re.sub(r"\b\d{3,5}\b", lambda n: str(int(n[0]) % 50000 + 10000), line[0]),
        text,
        flags=re.M,
    )
    page = free_port()
    ours = (
        f'[haproxy]\nfolder = "{folder}/etc"\nruntime = "{folder}/run"\nmaster_socket = "{folder}/master.sock"\n'
        f"stats_port = {free_port()}\npeer_port = {free_port()}\n"
    )
    text = re.sub(r"^\[haproxy\]\n(?:.+\n)*", ours, text, flags=re.M)
    return text.replace("port = 9081", f"port = {page}").replace("[fallback_page]", f"[fallback_page]\nport = {page}")


def test_the_ccw_site_runs_and_its_metrics_and_statistics_are_there(
    short: Path, haproxy: Program, registry: Registry
) -> None:
    write_identities(short)
    for name, made in (("ca-cert.pem", "ca.pem"), ("client-cert.pem", "c.pem")):
        (short / "tls" / name).write_bytes((short / "tls" / made).read_bytes())
    (short / "site.toml").write_text(ccw(short))
    site = load_site(short / "site.toml", registry.models())
    made = render(site, registry.kind, "lb1", haproxy.version)
    with running(short, made.files, haproxy) as engine:
        base = f"http://127.0.0.1:{site.haproxy.stats_port}"
        metrics = get(f"{base}/metrics")
        assert 'haproxy_server_status{proxy="CCG_IB_2101",server="CCW_INT_5001"' in metrics
        assert "CCW_NOTIFICATION" in get(f"{base}/")
        with pytest.raises(urllib.error.HTTPError) as e:
            get(f"http://127.0.0.1:{site.fallback_page.port}/anything")
        with e.value:
            assert (e.value.code, e.value.headers["Retry-After"]) == (503, "30")
            assert "CCW is not available" in e.value.read().decode()
        tables = {line.split(",")[0].removeprefix("# table: ") for line in engine.ask("show table").splitlines()}
        assert {vip.label for vip in site.vips if vip.persistence.mode in ("source-ip", "last-successful")} <= tables
        assert engine.ask("show ssl cert tls/certificates/client-cert.pem").startswith("Filename: tls/certificates/")
        assert engine.stat("_client_certificates") == {}


def get(url: str) -> str:
    deadline = time.monotonic() + 5
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_what_haproxy_refuses_is_said_in_its_words_and_without_the_folder(tmp_path: Path, haproxy: Program) -> None:
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text("global\n    nonsense\nlisten a\n    bind 127.0.0.1:1 ssl crt none.pem\n")
    with pytest.raises(EngineError) as e:
        check(haproxy, configuration)
    said = str(e.value)
    assert said.startswith(f"HAProxy refuses {configuration}: ")
    assert "parsing [haproxy.cfg:2] : unknown keyword 'nonsense' in 'global' section" in said
    assert "\n" not in said
    assert "[ALERT]" not in said
