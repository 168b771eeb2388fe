"""What a site tells others of itself: mail, SNMP, metrics (guide 12)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from lbkit.site.values import Address, Duration, File, Flag, Host, Label, Mail, Network, Port, Table, files_beside

Authentication = Literal["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"]
Privacy = Literal["DES", "AES"]


def _line(text: str) -> str:
    if not text.isprintable() or len(text) > 255:
        raise ValueError("this is not one line of at most 255 characters")
    return text


Line = Annotated[str, AfterValidator(_line)]


class Recipients(Table):
    """Who gets the mail about one part of the site."""

    sender: Mail | None = Field(None, description="Who the mail is from. Absent: as for all.")
    to: tuple[Mail, ...] = Field((), max_length=32, description="Who gets it. Absent: as for all.")


class Alerts(Table):
    """Mail when a real server, a VIP or the pair changes (guide 12.2 to 12.4)."""

    sender: Mail = Field(description="Who the mail is from.")
    to: tuple[Mail, ...] = Field(min_length=1, max_length=32, description="Who gets it.")
    layer_4: Recipients | None = Field(None, description="For all layer-4 VIPs; one of them may have its own alert_to.")
    layer_7: Recipients | None = Field(None, description="For all layer-7 VIPs.")
    pair: Recipients | None = Field(None, description="For the pair: failover, and a node that is lost.")
    gather: Duration = Field(
        10.0, description="What changes within this time of a first change goes into one mail with it."
    )
    smart_host: Host | None = Field(
        None, description="The mail server that takes them. Absent: the one that the destination's domain names (MX)."
    )
    smart_host_port: Port = Field(25, description="Its port.")
    starttls: Literal["if-offered", "required", "never"] = Field(
        "if-offered", description="required: the server must show a certificate for its name, else nothing is sent."
    )
    ca_file: File | None = Field(None, description="Whose certificates are trusted then, PEM. Absent: the system's.")
    user: Line | None = Field(None, description="Log in as this user; only over TLS.")
    password_file: File | None = Field(None, description="Holds the password.")
    receivers: dict[Label, Annotated[dict[str, Any], BeforeValidator(files_beside)]] = Field(
        default_factory=dict, description="Plugins that get every event, by name, with what each needs: webhook, …"
    )


class SnmpUser(Table):
    """The user of SNMPv3 (guide 12.1: USM)."""

    name: Line = Field(description="USM user name.")
    authentication: Authentication = Field("SHA-256", description="USM authorization algorithm.")
    authentication_file: File = Field(description="Holds the USM authorization passphrase, 8 characters or more.")
    privacy: Privacy = Field("AES", description="USM privacy algorithm.")
    privacy_file: File = Field(description="Holds the USM privacy passphrase, 8 characters or more.")


class TrapReceiver(Table):
    """Who is told of events by SNMP."""

    address: Address = Field(description="Its address.")
    port: Port = Field(162, description="Its port.")
    version: Literal["v2c", "v3"] = Field("v2c", description="v2c: traps. v3: informs, which it confirms.")

    @property
    def name(self) -> str:
        """Its place in the log of events is kept under this."""
        return f"traps-{self.address.replace(':', '-')}-{self.port}"


class Snmp(Table):
    """SNMP on each node, answered by Net-SNMP's snmpd (guide 12.1)."""

    addresses: tuple[Address, ...] = Field(
        ("127.0.0.1",), min_length=1, max_length=16, description="Where it is answered."
    )
    port: Port = Field(161, description="Its port, UDP.")
    location: Line = Field("", description="SNMP location.")
    contact: Line = Field("", description="SNMP contact.")
    v1: Flag = Field(False, description="Answer SNMPv1.")
    v2c: Flag = Field(False, description="Answer SNMPv2c.")
    community_file: File | None = Field(None, description="Holds the community of v1 and v2c.")
    user: SnmpUser | None = Field(None, description="Answer SNMPv3, with authentication and privacy, to this user.")
    managers: tuple[Network, ...] = Field(
        (), max_length=64, description="Whom v1 and v2c answer. Absent: anybody who knows the community."
    )
    traps: tuple[TrapReceiver, ...] = Field((), max_length=16, description="Who is told of events.")
    file: File = Field("/etc/snmp/snmpd.conf", description="snmpd's configuration is written there.")


class Metrics(Table):
    """Metrics for Prometheus, served by the agent on each node."""

    port: Port | None = Field(None, description="On 127.0.0.1.")
    socket: File | None = Field(None, description="A unix socket instead.")
