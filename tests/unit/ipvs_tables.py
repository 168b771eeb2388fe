"""Tables of IPVS: made up, and read from the lines of `ipvsadm -Sn`."""

from __future__ import annotations

import shlex
from ipaddress import IPv4Network, IPv6Address, ip_address

from hypothesis import strategies as st

from lbkit.ipvs.table import Destination, Family, Key, Marked, Service, Virtual, family_of

Table = dict[Key, tuple[Service, dict[tuple[str, int], Destination]]]

MOST_MARK = 2**31 - 1  # what is above ipvsadm -Sn shows as below 0
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "lblc", "lblcr")
_PROTOCOLS = {"-t": "tcp", "-u": "udp", "--sctp-service": "sctp"}
_METHODS = {"-g": "direct", "-m": "masquerade", "-i": "tunnel"}
_FLAGS = {"sh-fallback": 1, "mh-fallback": 1, "flag-1": 1, "sh-port": 2, "mh-port": 2, "flag-2": 2, "flag-3": 4}


def hosts(family: Family) -> st.SearchStrategy[str]:
    """Addresses that a real server can have."""
    if family == "ipv4":
        return st.integers(0x0A000001, 0x0AFFFFFE).map(lambda number: str(ip_address(number)))
    return st.integers(1, 2**96).map(lambda number: str(IPv6Address((0x20010DB8 << 96) + number % 2**96)))


def addresses(family: Family) -> st.SearchStrategy[str]:
    """Addresses that a service can have: IPv6's that are written in several ways too."""
    odd = st.sampled_from(["::ffff:102:304", "::102:304", "::1", "2001:db8:0:1:0:0:0:1", "fe80::1"])
    return hosts(family) if family == "ipv4" else st.one_of(hosts(family), odd.map(lambda text: str(ip_address(text))))


def keys() -> st.SearchStrategy[Key]:
    families = st.sampled_from(["ipv4", "ipv6"])
    ports = st.integers(1, 65535)
    virtual = families.flatmap(
        lambda family: st.builds(Virtual, addresses(family), ports, st.sampled_from(["tcp", "udp", "sctp"]))
    )
    return st.one_of(virtual, st.builds(Marked, st.integers(1, MOST_MARK), families))


@st.composite
def services(draw: st.DrawFn, key: Key | None = None) -> Service:
    key = draw(keys()) if key is None else key
    scheduler = draw(st.sampled_from(SCHEDULERS))
    persistence = draw(st.none() | st.integers(1, 31 * 86400))
    lengths = st.integers(0, 31) if family_of(key) == "ipv4" else st.integers(1, 127)
    return Service(
        key,
        scheduler,
        persistence,
        None if persistence is None else draw(st.none() | lengths),
        (isinstance(key, Marked) or key.protocol == "udp") and draw(st.booleans()),
        draw(st.integers(0, 3 if scheduler in ("sh", "mh") else 7)),  # ipvsadm -Sn loses the third of these two
    )


@st.composite
def destinations(draw: st.DrawFn, key: Key, rules: bool = False) -> Destination:
    """`rules`: none that ipvsadm has no rule for, such as another port than the service's without masquerading."""
    method = draw(st.sampled_from(["direct", "masquerade", "tunnel", *([] if rules else ["local"])]))
    family = draw(st.sampled_from(["ipv4", "ipv6"])) if method == "tunnel" else family_of(key)
    same = rules and isinstance(key, Virtual) and method != "masquerade"
    upper = draw(st.integers(0, 2**31 - 1))
    return Destination(
        draw(hosts(family)),
        key.port if same else draw(st.integers(1, 65535)),
        draw(st.integers(0, 2**31 - 1)),
        method,
        upper,
        draw(st.integers(0, upper)),
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """All in them there is a rule for."""
    found: Table = {}
    for key in draw(st.lists(keys(), max_size=4, unique=True)):
        to = draw(st.lists(destinations(key, rules=True), max_size=3, unique_by=lambda one: one.place))
        found[key] = (draw(services(key)), {one.place: one for one in to})
    return found


def parsed(text: str) -> Table:
    """What the lines of `ipvsadm -Sn`, or ours, say."""
    found: Table = {}
    for line in text.splitlines():
        verb, *words = shlex.split(line)
        key, rest = _key(words)
        options = dict(zip(rest[::2], rest[1::2], strict=True))
        if verb == "-A":
            found[key] = (_service(key, options), {})
        else:
            assert verb == "-a", line
            to = _destination(options)
            assert to.place not in found[key][1], line
            found[key][1][to.place] = to
    return found


def _key(words: list[str]) -> tuple[Key, list[str]]:
    """And the options that follow, those without a value given one."""
    kind, where, *rest = words
    rest = [word for given in rest for word in ([given, "yes"] if given in ("-o", "-6", *_METHODS) else [given])]
    if kind == "-f":
        return Marked(int(where), "ipv6" if "-6" in rest else "ipv4"), rest
    return Virtual(*_place(where), _PROTOCOLS[kind]), rest


def _service(key: Key, options: dict[str, str]) -> Service:
    mask = options.get("-M")
    assert not options.keys() - {"-s", "-p", "-M", "-o", "-b", "-6"}
    return Service(
        key,
        options["-s"],
        int(options["-p"]) if "-p" in options else None,
        None if mask is None else int(mask) if mask.isdigit() else IPv4Network(f"0.0.0.0/{mask}").prefixlen,
        "-o" in options,
        sum(_FLAGS[name] for name in options.get("-b", "").split(",") if name),
    )


def _destination(options: dict[str, str]) -> Destination:
    (method,) = options.keys() & _METHODS.keys()
    assert not options.keys() - {"-r", "-w", "-x", "-y", "--tun-type", "-6", method}
    assert options.get("--tun-type", "ipip") == "ipip"
    limits = (int(options.get(name, 0)) for name in ("-x", "-y"))
    return Destination(*_place(options["-r"]), int(options["-w"]), _METHODS[method], *limits)


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return str(ip_address(address.strip("[]"))), int(port)
