"""The statistics page of real HAProxies, and the socket beside it."""

from __future__ import annotations

import pytest
from interop.agents import eventually
from interop.remotes import HOST
from interop.runtime_haproxy import admin, haproxy, runtime

from lbkit.errors import NotAllowed, NotRunning, NotThere
from lbkit.haproxy.statistics_page import StatisticsPage

__all__ = ["admin", "haproxy", "runtime"]


def test_a_comma_in_the_reason_of_a_check_shifts_nothing_on_the_socket_and_the_page(haproxy, admin):
    page = StatisticsPage(f"http://{HOST}:{haproxy.ports['page']}/stats", timeout=5)
    row = eventually(
        lambda: next(iter(one for one in admin.stats("CHECKED")[:1] if "Service" in one["last_chk"]), None)
    )
    for found in (row, next(row for row in page.stats() if (row["pxname"], row["svname"]) == ("CHECKED", "c1"))):
        assert "Service, Unavailable" in found["last_chk"]
        assert found["addr"] == f"{HOST}:{haproxy.ports['http']}"
        assert found["mode"] == "tcp"


def test_the_page_gives_what_the_socket_gives(haproxy, admin):
    page = StatisticsPage(f"http://{HOST}:{haproxy.ports['page']}/stats")
    assert [(row["pxname"], row["svname"]) for row in page.stats()] == [
        (row["pxname"], row["svname"]) for row in admin.stats()
    ]
    assert [row["svname"] for row in page.stats("STICKY")] == ["s1", "s2", "BACKEND"]
    sticky = next(backend for backend in page.backends if backend.name == "STICKY")
    assert [listener.name for listener in sticky.listeners] == ["s1", "s2"]
    with pytest.raises(NotThere, match="has no proxy NO"):
        page.stats("NO")


def test_a_secured_page_wants_certificate_and_password_from_files(haproxy, tmp_path):
    url = f"https://localhost:{haproxy.ports['secured']}/stats"
    (tmp_path / "auth").write_text("operator:pass:word\n")
    (tmp_path / "wrong").write_text("operator:guess\n")
    client = haproxy.ca.client
    trust = {"ca_file": haproxy.ca.ca_file, "cert_file": client.cert_file, "key_file": client.key_file}
    assert StatisticsPage(url, auth_file=str(tmp_path / "auth"), **trust).stats("STICKY")
    for auth in ({}, {"auth_file": str(tmp_path / "wrong")}):
        with pytest.raises(NotAllowed, match=r"wants a user and a password \(401\)"):
            StatisticsPage(url, **auth, **trust).stats()
    for lacking in ({"ca_file": haproxy.ca.ca_file}, {}):
        with pytest.raises(NotRunning, match="can't be read"):
            StatisticsPage(url, auth_file=str(tmp_path / "auth"), **lacking).stats()
