"""The parameters of `direct-routing`, and how a machine is named in them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from pydantic import Field, field_validator

from lbkit.checks.kind import Params, Seconds
from lbkit_direct_routing.observed import Named


def named(text: str) -> Named:
    """Read `ADDRESS` or `LABEL=ADDRESS`. Raises ValueError."""
    label, _, address = text.rpartition("=")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,63}", label) or not is_ipv4(address):
        raise ValueError(f"{text[:60]!r} is no IPv4 address, and no LABEL=ADDRESS")
    return Named(label, address)


def is_ipv4(text: str) -> bool:
    """Whether this is an address that direct-routing can look at."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


class DirectRoutingParams(Params):
    """From the balancer: does each real server of a layer-4 VIP take its packets, and leave its ARP to the balancer?"""

    port: int | None = Field(
        104, ge=1, le=65535, description="Port of a VIP that is given without one, and not by the site file either."
    )
    timeout: Seconds = Field(
        30.0, ge=3, description="The whole check ends within this time; each real server takes 1 to 3 seconds of it."
    )
    real_server: tuple[str, ...] = Field(
        (),
        max_length=256,
        description="A real server's own address, or LABEL=ADDRESS; may be given several times. [default: the site file's]",
    )
    node: tuple[str, ...] = Field(
        (),
        max_length=2,
        description="A node of the pair, likewise: it may hold the VIP. [default: the site file's]",
    )
    interface: str | None = Field(
        None, description="Where to look. [default: the one by which each real server is reached]"
    )
    site_file: str | None = Field(
        None, description="The site file. [default: $LBKIT_SITE, ./site.toml or /etc/lbkit/site.toml]"
    )

    @field_validator("real_server", "node")
    @classmethod
    def _addresses(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            named(one)
        return given
