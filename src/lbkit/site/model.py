"""A site: its VIPs, its certificates, its pair, its alerts."""

from __future__ import annotations

from pydantic import Field

from lbkit.site.services import Vip
from lbkit.site.values import Account, Address, Duration, File, Host, Interface, Label, Mail, Port, Table


class CaFamily(Table):
    """CAs that belong together (guide 9.8.2: CA Certificate Family)."""

    ca_file: File = Field(description="The CAs' certificates, PEM. Paths are seen from the site file's folder.")
    crl_file: File | None = Field(
        None, description="Their revocation lists, PEM; every CA of the family needs its own, or none."
    )


class Certificate(Table):
    """A certificate with its key: a VIP's own, or the one that is shown to real servers."""

    file: File = Field(description="PEM (certificate, chain, and the key unless it is in key_file) or PFX.")
    key_file: File | None = Field(None, description="The key, PEM.")
    password_file: File | None = Field(None, description="Holds the password of the key or PFX.")


class Node(Table):
    """One of the two load balancers."""

    name: Label = Field(description="Its host name.")
    address: Address = Field(description="Its own address, by which the other one reaches it.")
    interface: Interface = Field("eth0", description="Where the VIPs are.")


class Pair(Table):
    """The two load balancers, and what moves between them."""

    nodes: tuple[Node, Node] = Field(description="The two, in order of preference.")
    router_id: int = Field(51, strict=True, ge=1, le=255, description="VRRP: unique among the pairs of one network.")
    advert_interval: Duration = Field(
        1.0, description="VRRP: from one advert to the next. Below 1s a virtual machine's pause is a failover."
    )
    floating_addresses: tuple[Address, ...] = Field(
        (),
        max_length=64,
        description="Addresses that move besides the VIPs', such as real servers' gateway (guide 15.2.3).",
    )


class Alerts(Table):
    """Mail when a real server, a VIP or the pair changes (guide 12.2 to 12.4)."""

    sender: Mail = Field(description="Who the mail is from.")
    to: tuple[Mail, ...] = Field(min_length=1, max_length=32, description="Who gets it.")
    smart_host: Host = Field(description="The mail server that takes them.")
    smart_host_port: Port = Field(25, description="Its port.")


class FallbackPage(Table):
    """A page that the balancer serves itself, for VIPs whose fallback it is (guide 5)."""

    address: Address = Field("127.0.0.1", description="Where it is served.")
    port: Port = Field(9081, description="Its port.")
    file: File | None = Field(None, description="The page, HTML. Absent: a plain one that says to try again later.")


class HaproxySettings(Table):
    """HAProxy on each node: where its files are, and what it may use. Paths are seen from the site file's folder."""

    folder: File = Field("/etc/haproxy", description="haproxy.cfg is written there, and tls/ beside it.")
    runtime: File = Field("/run/haproxy", description="The folder of its sockets.")
    master_socket: File = Field("/run/haproxy-master.sock", description="Where its master process is asked to reload.")
    user: Account | None = Field(None, description="Who it runs as once it has its ports. Absent: whoever starts it.")
    group: Account | None = Field(None, description="The group of its sockets, and of what it runs as.")
    max_connections: int = Field(
        4000, strict=True, ge=10, le=1_000_000, description="All clients together; the rest wait."
    )
    stats_port: Port = Field(8404, description="Its own statistics, and metrics for Prometheus, on 127.0.0.1.")
    peer_port: Port = Field(7778, description="The two nodes replicate their tables over it (guide 5).")


class AgentSettings(Table):
    """The agent on each node, which watches layer 4 and keeps IPVS right."""

    socket: File = Field("/run/lbkit/agent.sock", description="Where the commands ask it. Its folder is there already.")
    group: Account | None = Field(None, description="The group that may ask it. Absent: that of whoever starts it.")
    check_port: Port = Field(
        7779, description="On 127.0.0.1: where HAProxy asks about real servers whose check it can't run itself."
    )
    anchor: Address | None = Field(
        None,
        description="An address that answers pings as long as this balancer's network works, such as the gateway. While it "
        "does not, real servers that all fail at once stay in.",
    )


class Site(Table):
    """One deployment."""

    name: Label = Field(description="What the site is called.")
    vips: tuple[Vip, ...] = Field(min_length=1, max_length=1024, description="The virtual services.")
    ca_families: dict[Label, CaFamily] = Field(default_factory=dict, description="CAs, by the names that VIPs use.")
    certificates: dict[Label, Certificate] = Field(default_factory=dict, description="The same for certificates.")
    pair: Pair | None = Field(None, description="The two load balancers.")
    haproxy: HaproxySettings = Field(
        default_factory=lambda: HaproxySettings.model_validate({}), description="The engine of layer 7."
    )
    agent: AgentSettings = Field(
        default_factory=lambda: AgentSettings.model_validate({}), description="The process that watches layer 4."
    )
    fallback_page: FallbackPage | None = Field(None, description="Absent: the balancer serves none itself.")
    alerts: Alerts | None = Field(None, description="Where news goes by mail.")
