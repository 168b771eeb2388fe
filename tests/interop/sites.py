"""Sites of every sort that the model allows, as tables of a site file; their identities are those of `write_identities`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from lbkit.testing import ThrowawayCA

FAMILIES = {"F": {"ca_file": "tls/ca.pem"}, "MASTER.crl": {"ca_file": "tls/ca.pem", "crl_file": "tls/ca.crl"}}
CERTIFICATES = {"c": {"file": "tls/c.pem"}, "7": {"file": "tls/7.pfx", "password_file": "tls/password"}}

LABELS = st.one_of(
    st.sampled_from(["MASTER", "GLOBAL", "global", "listen", "0", "0" * 63, "a.b-c_d", "X" * 63, "x..-", "id", "no"]),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True),
)
HOSTS = st.one_of(
    st.sampled_from(["ccw1.hospital.example", "CCW_1", "a:b", "a.", "x--y", "h" * 253]),
    st.from_regex(r"[A-Za-z][A-Za-z0-9.:_-]{0,60}", fullmatch=True),
)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PORTS = st.one_of(st.sampled_from([1, 80, 443, 65535]), st.integers(1, 65535))
DURATIONS = st.sampled_from(["1ms", "250ms", "5s", "1m30s", "30m", "12h", "24d"])
# all that could mean something to HAProxy, to a regular expression or to a log format
ODD = st.text(st.one_of(st.sampled_from("'\"\\$#%[](){} \t\n,|^*+?.{}"), st.characters(exclude_categories=["Cs"])))
VISIBLE = st.text(st.sampled_from("aZ09'\"\\$%[](){}!&;,|^*+?.=-_~`<>:"), max_size=60)
PATTERNS = st.lists(
    st.sampled_from(
        [
            "ok",
            "(?:a|b)",
            "[^]x'\"]",
            r"\d+",
            r"[a-f\]]*",
            "x{2}",
            "y{0,3}?",
            r"\.\$\'",
            "$",
            "^",
            "#",
            "'",
            '"',
            " ",
            "{",
        ]
    ),
    max_size=12,
).map("".join)


def tables(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with any of these keys."""
    return st.fixed_dictionaries({}, optional=values)


def _https_get() -> st.SearchStrategy[dict[str, Any]]:
    bodies = st.one_of(
        st.tuples(st.sampled_from(["equals", "contains", "anything"]), ODD), st.tuples(st.just("regex"), PATTERNS)
    )
    more = tables(
        path=VISIBLE.map(lambda text: "/" + text.replace("#", "")),
        host=VISIBLE.map(lambda text: "h" + "".join(one for one in text if one not in '/?#@\\"<>^`{|}')),
        status=st.lists(st.integers(200, 599), min_size=1, max_size=9),
        tls=st.booleans(),
        verify=st.just(False),
        redirects=st.sampled_from([0, 1]),
    )
    return st.builds(lambda body, more: {"kind": "https-get", "match": body[0], "body": body[1], **more}, bodies, more)


def _c_echo() -> st.SearchStrategy[dict[str, Any]]:
    title = st.text(
        st.characters(codec="ascii", categories=["L", "N", "P"], exclude_characters="\\"), min_size=1, max_size=16
    )
    more = tables(aet=title, aec=title, accept_status=st.lists(st.integers(0, 0xFFFF), max_size=4))
    return more.map(lambda more: {"kind": "c-echo", **more})


def _own_tls(kind: str) -> dict[str, Any]:
    files = {"ca_file": "tls/ca.pem", "crl_file": "tls/ca.crl", "cert_file": "tls/c.pem", "server_name": "a.test"}
    return {"kind": kind, **files, **({"tls": True} if kind == "connect" else {})}


def checks() -> st.SearchStrategy[dict[str, Any]]:
    kind = st.one_of(
        st.just({"kind": "connect"}),
        st.sampled_from(["connect", "https-get", "mtls"]).map(_own_tls),
        st.just({"kind": "mtls", "verify": False}),
        _https_get(),
        _c_echo(),
    )
    times = tables(
        interval=DURATIONS, timeout=st.sampled_from(["1ms", "5s", "1h"]), rise=st.integers(1, 100),
        fall=st.integers(1, 100), port=PORTS, fast_interval=DURATIONS,
    )  # fmt: skip
    return st.builds(lambda kind, times: {**kind, **times}, kind, times)


def servers() -> st.SearchStrategy[list[dict[str, Any]]]:
    tls = tables(
        verify=st.sampled_from(sorted(FAMILIES)),
        server_name=HOSTS,
        client_certificate=st.sampled_from(sorted(CERTIFICATES)),
    ).map(lambda more: {"re_encrypt": True, **more})
    plain = st.fixed_dictionaries(
        {"label": LABELS, "address": ADDRESSES}, optional={"port": PORTS, "weight": st.integers(0, 256)}
    )
    one = st.builds(lambda plain, tls: {**plain, **tls}, plain, st.one_of(st.just({}), tls))
    return st.lists(one, min_size=1, max_size=4, unique_by=lambda server: server["label"])


def vips() -> st.SearchStrategy[dict[str, Any]]:
    wanted = {
        "label": LABELS,
        "address": ADDRESSES,
        "ports": st.lists(PORTS, min_size=1, max_size=4, unique=True),
        "mode": st.just("l7-snat"),
        "check": checks(),
        "servers": servers(),
    }
    persistence = st.one_of(
        st.just({"mode": "none"}),
        tables(timeout=DURATIONS).flatmap(
            lambda more: st.sampled_from(["source-ip", "http-cookie", "last-successful"]).map(
                lambda m: {"mode": m, **more}
            )
        ),
    )
    ends = st.fixed_dictionaries(
        {"certificate": st.sampled_from(sorted(CERTIFICATES))}, optional={"ca": st.sampled_from(sorted(FAMILIES))}
    )
    fallback = st.fixed_dictionaries(
        {"address": ADDRESSES, "port": PORTS}, optional={"protocol": st.sampled_from(["tcp", "http"])}
    )
    more = {
        "protocol": st.sampled_from(["tcp", "http"]),
        "scheduler": st.sampled_from(["first", "least-connections", "round-robin"]),
        "persistence": persistence,
        "termination": ends,
        "fallback": fallback,
        "client_timeout": DURATIONS,
        "server_timeout": DURATIONS,
        "slow_start": DURATIONS,
        "source_address": ADDRESSES,
        "x_forwarded_for": st.booleans(),
        "proxy_protocol": st.booleans(),
        "transparent": st.booleans(),
    }
    return st.fixed_dictionaries(wanted, optional=more).map(_without_contradictions)


def _without_contradictions(vip: dict[str, Any]) -> dict[str, Any]:
    if vip.get("persistence", {}).get("mode") == "http-cookie" or vip.get("x_forwarded_for"):
        vip = {**vip, "protocol": "http"}
    if vip.get("transparent"):
        vip = {name: value for name, value in vip.items() if name != "source_address"}
    return vip


def sites() -> st.SearchStrategy[dict[str, Any]]:
    nodes = [{"name": "lb1", "address": "192.0.2.254"}, {"name": "MASTER", "address": "2001:db8::254"}]
    haproxy = tables(
        user=st.just("nobody"), group=st.just("nogroup"), max_connections=st.sampled_from([10, 4000, 1_000_000]),
        stats_port=PORTS, peer_port=PORTS, runtime=st.just("/run/lbkit-test"),
    )  # fmt: skip
    page = tables(port=PORTS, address=ADDRESSES, file=st.just("tls/ca.pem"))
    return st.fixed_dictionaries(
        {
            "name": LABELS,
            "vips": st.lists(vips(), min_size=1, max_size=4, unique_by=lambda vip: vip["label"]),
            "ca_families": st.just(FAMILIES),
            "certificates": st.just(CERTIFICATES),
        },
        optional={"haproxy": haproxy, "fallback_page": page, "pair": st.just({"nodes": nodes})},
    )


def write_identities(folder: Path) -> None:
    """The files that they name."""
    ca = ThrowawayCA(folder)
    tls = folder / "tls"
    tls.mkdir()
    for name, path in {"ca.pem": ca.ca_file, "ca.crl": ca.revocation_list(), "7.pfx": ca.pfx(ca.server, b"x")}.items():
        (tls / name).write_bytes(Path(path).read_bytes())
    (tls / "password").write_text("x")
    (tls / "c.pem").write_bytes(Path(ca.client.cert_file).read_bytes() + Path(ca.client.key_file).read_bytes())
