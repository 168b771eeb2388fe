"""Facts for support that no other verb shows: what is installed, and what certificates say of themselves."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from lbkit.checks.registry import Plugin, Registry
from lbkit.errors import LbkitError
from lbkit.plugins import Loaded
from lbkit.site.draft import Draft
from lbkit.site.model import CaFamily
from lbkit.site.model import Certificate as Named
from lbkit.state.receiver_plugins import ReceiverPlugins
from lbkit.tls import files
from lbkit.tls.certificate import Certificate, read_certificates
from lbkit.tls.family import read_family
from lbkit.tls.identity import read_identity


def versions(registry: Registry) -> dict[str, Any]:
    """Python, its packages, plugins, kernel."""
    plugins: list[Plugin | Loaded[Any]] = [*registry.plugins(), *ReceiverPlugins().plugins()]
    return {
        "python": f"{platform.python_version()} at {sys.executable}",
        "kernel": f"{platform.release()} {platform.version()} {platform.machine()}",
        "packages": {one.name: one.version for one in sorted(distributions(), key=lambda one: str(one.name))},
        "plugins": [
            {"name": one.name, "distribution": one.distribution, "version": one.version, "error": one.error}
            for one in plugins
        ],
    }


def certificates(draft: Draft) -> dict[str, Any]:
    """Of all that the site names, by name: what everybody may know of each, or why it can't be read."""
    found: dict[str, Any] = {name: _of_certificate(one) for name, one in draft.certificates.items()}
    return found | {f"CA {name}": _of_family(one) for name, one in draft.ca_families.items()}


def _of_certificate(one: Named) -> dict[str, Any]:
    try:
        if files.is_pfx(files.read(one.file)):
            own = read_identity(one.file, one.key_file or "", one.password_file or "")
            return _facts(one.file, (own.certificate, *own.chain))
        return _facts(one.file, read_certificates(one.file))
    except LbkitError as e:
        return {"file": one.file, "error": str(e)}


def _of_family(one: CaFamily) -> dict[str, Any]:
    try:
        family = read_family([one.ca_file], [one.crl_file] if one.crl_file else [])
    except LbkitError as e:
        return {"file": one.ca_file, "error": str(e)}
    lists = [
        {"issuer": each.issuer, "next_update": each.next_update.isoformat() if each.next_update else None}
        for each in family.lists
    ]
    return {**_facts(one.ca_file, family.cas), "lists": lists}


def _facts(file: str, found: Iterable[Certificate]) -> dict[str, Any]:
    return {
        "file": file,
        "certificates": [
            {
                "subject": one.subject,
                "issuer": one.issuer,
                "names": list(one.names),
                "serial": f"{one.raw.serial_number:x}",
                "not_before": one.not_before.isoformat(),
                "not_after": one.not_after.isoformat(),
                "sha256": hashlib.sha256(one.raw.public_bytes(Encoding.DER)).hexdigest(),
            }
            for one in found
        ],
    }
