"""Which mail servers take mail for a domain (RFC 5321 section 5.1), asked of the DNS."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from lbkit.errors import CannotRun

if TYPE_CHECKING:
    from dns.resolver import Resolver

_WITHIN = 10.0  # seconds for all of the DNS's answers


def exchanges(domain: str) -> list[str]:
    """Host names, the preferred one first; the domain itself where it names none; none where it takes no mail (RFC 7505).

    Raises CannotRun where the DNS does not say.
    """
    asked = resolver()
    import dns.exception
    import dns.resolver

    try:
        found = list(asked.resolve(f"{domain}.", "MX", lifetime=_WITHIN))
    except dns.resolver.NoAnswer:
        return [domain]
    except dns.resolver.NXDOMAIN:
        raise CannotRun(f"the DNS knows no domain {domain}. Correct the address, or give a smart_host.") from None
    except dns.exception.DNSException as e:
        why = " ".join(str(e).split())[:200].rstrip(".") or type(e).__name__
        raise CannotRun(
            f"the DNS does not say who takes mail for {domain}: {why}. Repair it, or give a smart_host."
        ) from None
    found.sort(key=lambda one: (one.preference, random.random()))  # noqa: S311  equals take turns
    return [name for one in found if (name := one.exchange.to_text(omit_final_dot=True)) not in ("", ".")]


def resolver() -> Resolver:
    """Of this machine's settings as they are now. Raises CannotRun without them, or without dnspython."""
    try:
        from dns.resolver import NoResolverConfiguration, Resolver
    except ImportError:
        raise CannotRun(
            "the mail server of a domain is asked of the DNS with dnspython, which is not installed: "
            "pip install 'lbkit-core[mail]', or give a smart_host."
        ) from None
    try:
        return Resolver()
    except NoResolverConfiguration:
        raise CannotRun("/etc/resolv.conf names no DNS server. Name one there, or give a smart_host.") from None
