"""A site: its VIPs, its certificates, its pair, its alerts."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from pydantic import Field

from lbkit.site.reporting import Alerts, Metrics, Snmp
from lbkit.site.services import Vip
from lbkit.site.values import Account, Address, Duration, File, Flag, Interface, Label, Network, Port, Table


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
    networks: dict[Network, Interface] = Field(
        default_factory=dict,
        description="Its other interfaces, by the network behind each. VIPs and floating addresses of these go there.",
    )

    def interface_of(self, address: str) -> str:
        """Where an address that moves is put on this node."""
        one = ip_address(address)
        networks = sorted(map(ip_network, self.networks), key=lambda network: -network.prefixlen)
        return next((self.networks[str(found)] for found in networks if one in found), self.interface)


class Ssh(Table):
    """How a node reaches the other one's lbkit: OpenSSH, with a key that may do nothing else (lbkit pair setup)."""

    user: Account = Field("root", description="Who lbkit is there.")
    port: Port = Field(22, description="Where the other node's sshd listens.")
    key_file: File = Field("/etc/lbkit/pair/key", description="This node's private key.")
    known_hosts_file: File = Field(
        "/etc/lbkit/pair/known_hosts", description="The other node's host keys, by its name."
    )


class Pair(Table):
    """The two load balancers, and what moves between them."""

    nodes: tuple[Node, Node] = Field(description="The two, in order of preference.")
    router_id: int = Field(51, strict=True, ge=1, le=255, description="VRRP: unique among the pairs of one network.")
    advert_interval: Duration = Field(
        1.0, description="VRRP: from one advert to the next. Below 1s a virtual machine's pause is a failover."
    )
    preempt: Flag = Field(
        False,
        description="The first node takes the VIPs back as soon as it can serve. Absent: they stay where they are.",
    )
    floating_addresses: tuple[Address, ...] = Field(
        (),
        max_length=64,
        description="Addresses that move besides the VIPs', such as real servers' gateway (guide 15.2.3).",
    )
    track_interfaces: tuple[Interface, ...] = Field(
        (),
        max_length=16,
        description="Interfaces whose loss gives the VIPs to the other node, besides the nodes' own.",
    )
    ipvs_sync: Flag = Field(
        False, description="Each node tells the other its layer-4 connections, so that they outlive a failover."
    )
    certificate: Label | None = Field(
        None, description="The nodes replicate tables over TLS, with this one: a name below [certificates]."
    )
    ca: Label | None = Field(None, description="The other node's must be of this family: a name below [ca_families].")
    ssh: Ssh = Field(default_factory=lambda: Ssh.model_validate({}), description="How a node reaches the other one.")


class KeepalivedSettings(Table):
    """keepalived on each node, which moves the addresses. Paths are seen from the site file's folder."""

    folder: File = Field("/etc/keepalived", description="keepalived.conf is written there.")
    pid_file: File = Field("/run/keepalived.pid", description="Where it writes its process id.")
    runtime: File = Field(
        "/run/lbkit/vrrp", description="What the agent tells it, and it tells the agent. Not kept over a boot."
    )


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
    """The agent on each node, which watches layer 4 and the pair, keeps IPVS right, and alerts."""

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


class FirewallSettings(Table):
    """The firewall of each node (nftables), which opens what the site needs and nothing else."""

    enabled: Flag = Field(
        False, description="`lbkit apply` loads it. Absent: `lbkit render nftables` prints it, no more."
    )
    management: tuple[Network, ...] = Field(
        (),
        max_length=64,
        description="Where operators are: ssh and the node's own ports answer these. Absent: anybody.",
    )
    ssh_port: Port = Field(22, description="Where operators' ssh is answered.")
    tcp_ports: tuple[Port, ...] = Field((), max_length=64, description="Ports of its own that stay open: monitoring, …")
    udp_ports: tuple[Port, ...] = Field((), max_length=64, description="The same of UDP: NTP, SNMP, …")
    file: File = Field("/etc/lbkit/firewall.nft", description="The ruleset is written there, for boots too.")


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
    keepalived: KeepalivedSettings = Field(
        default_factory=lambda: KeepalivedSettings.model_validate({}), description="What moves the pair's addresses."
    )
    agent: AgentSettings = Field(
        default_factory=lambda: AgentSettings.model_validate({}),
        description="The process that watches layer 4 and the pair.",
    )
    firewall: FirewallSettings = Field(
        default_factory=lambda: FirewallSettings.model_validate({}), description="What is let in on each node."
    )
    fallback_page: FallbackPage | None = Field(None, description="Absent: the balancer serves none itself.")
    alerts: Alerts | None = Field(None, description="Where news goes by mail.")
    snmp: Snmp | None = Field(None, description="SNMP. Absent: lbkit leaves snmpd alone.")
    metrics: Metrics | None = Field(None, description="Metrics for Prometheus. Absent: none are served.")
