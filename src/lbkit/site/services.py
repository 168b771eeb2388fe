"""VIPs and their real servers, as a site file says them. What needs two fields to be wrong stands in `rules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from lbkit.site.values import Address, Duration, Flag, Host, Label, Mail, Port, Table, files_beside

Mode = Literal["l7-snat", "l4-dr"]
Scheduler = Literal["least-connections", "round-robin", "first"]
PersistenceMode = Literal["none", "source-ip", "http-cookie", "last-successful"]


class Persistence(Table):
    """What keeps a client, or everybody, on one real server (guide 4.1, 4.2)."""

    mode: PersistenceMode = Field("none", description="What a table entry, or a cookie, stands for.")
    timeout: Duration | None = Field(
        None,
        description="An entry unused for this long ends. Absent: source-ip 30m, http-cookie with the browser, "
        "last-successful never.",
    )


class CheckReference(Table):
    """Which kind of check watches the real servers, and how often. All other keys are that kind's own parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: Label = Field(description="A check that a plugin gives: connect, https-get, c-echo, mtls, …")
    interval: Duration = Field(5.0, description="From one check of a real server to the next.")
    fast_interval: Duration | None = Field(
        None, description="The same while its results contradict its health. Absent: no faster."
    )
    rise: int = Field(2, strict=True, ge=1, le=100, description="So many up in a row make a real server up.")
    fall: int = Field(3, strict=True, ge=1, le=100, description="So many down in a row make a real server down.")

    @model_validator(mode="before")
    @classmethod
    def _files_beside_the_site_file(cls, given: Any, info: ValidationInfo) -> Any:
        return files_beside(given, info)

    @property
    def params(self) -> Mapping[str, Any]:
        """The kind's own parameters, as the file has them; paths are seen from its folder."""
        return self.model_extra or {}


class Termination(Table):
    """TLS ends at the VIP (guide 9.8.3: Create HAProxy SSL Termination)."""

    certificate: Label = Field(description="The VIP's own certificate: a name below [certificates].")
    ca: Label | None = Field(
        None, description="Clients must show a certificate of this family: a name below [ca_families]."
    )
    server_name: Host | None = Field(None, description="The name by which clients call the VIP.")
    check_certificate: Label | None = Field(
        None, description="The client certificate that lbkit's own check of the VIP shows."
    )


class RealServer(Table):
    """One real server (RIP) of a VIP."""

    label: Label = Field(description="What operations, tables and logs call it; its own within the VIP.")
    address: Address = Field(description="Its own address.")
    port: Port | None = Field(None, description="Absent: the port that the client asked for.")
    weight: int = Field(
        100, strict=True, ge=0, le=256, description="Its share among the others. 0: no new connections."
    )
    re_encrypt: Flag = Field(False, description="Speak TLS to it (guide: Re-Encrypt to Backend).")
    verify: Label | None = Field(
        None, description="Its certificate must be of this family (guide: Verify Server Certificate)."
    )
    server_name: Host | None = Field(None, description="The name for SNI, and in its certificate.")
    client_certificate: Label | None = Field(
        None, description="The certificate shown to it (guide: Send Client Certificate)."
    )


class Fallback(Table):
    """Where clients go while all real servers are down."""

    address: Address = Field(description="Its address.")
    port: Port = Field(description="Its port.")
    protocol: Literal["tcp", "http"] = Field("tcp", description="What it speaks.")


class Vip(Table):
    """A virtual service."""

    label: Label = Field(description="What operations, tables and logs call it.")
    address: Address = Field(description="Where clients find it; it moves between the nodes of the pair.")
    ports: tuple[Port, ...] = Field(min_length=1, max_length=64, description="The ports that clients ask for.")
    mode: Mode = Field(description="Layer 7, as a proxy with an address of its own; or layer 4, direct routing.")
    protocol: Literal["tcp", "http"] = Field("tcp", description="What a layer-7 VIP looks into.")
    scheduler: Scheduler = Field(
        "least-connections", description="Who gets a new client. first: the first in the list that is up."
    )
    persistence: Persistence = Field(
        default_factory=lambda: Persistence.model_validate({}), description="What keeps clients on a real server."
    )
    check: CheckReference = Field(description="What tells whether a real server is up.")
    termination: Termination | None = Field(None, description="TLS ends at the VIP. Absent: it is passed on as it is.")
    servers: tuple[RealServer, ...] = Field(min_length=1, max_length=256, description="Its real servers, in order.")
    slow_start: Duration | None = Field(
        None,
        description="A real server that comes up again gets its share little by little, in this time. Absent: at once.",
    )
    fallback: Fallback | None = Field(None, description="Absent: none; clients are refused while all servers are down.")
    client_timeout: Duration | None = Field(
        None, description="A client's connection that is silent this long is closed."
    )
    server_timeout: Duration | None = Field(
        None, description="A real server's connection that is silent this long too."
    )
    source_address: Address | None = Field(
        None, description="The balancer's address that real servers see. Absent: the one its routes choose."
    )
    x_forwarded_for: Flag = Field(False, description="Tell real servers the client's address in a header.")
    proxy_protocol: Flag = Field(
        False, description="Tell real servers the client's address in a PROXY header (version 2), before all else."
    )
    transparent: Flag = Field(
        False, description="Real servers see the client's own address; their gateway must be a floating address."
    )
    alert_to: Mail | None = Field(None, description="Where alerts about this VIP go. Absent: where all go.")
