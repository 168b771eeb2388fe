"""`lbkit backup`: one file with all that makes this node what it is for its site; and what is in such a file.

The site file, all files that it names, intents, what an operator wants of this node (prefer, maintenance), the generation.
Secrets (keys, passwords, PFX) are left out, or encrypted under a password: AES-256-GCM with a key by scrypt, and the rest of
the file is authenticated with them. What belongs to the machine (ssh keys, addresses) is in none.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from lbkit import disk
from lbkit.errors import CannotRun, Misuse
from lbkit.operate import bundle
from lbkit.operate.bundle import Bundle
from lbkit.operate.generation import name_of
from lbkit.pair import track
from lbkit.site.model import Site
from lbkit.state.applied import Applied
from lbkit.state.intents import Intent, Intents

VERSION = 1
Kept = Literal["prefer", "maintenance"]
Secrets = Literal["omit", "encrypt"]
_COST, _BLOCKS, _LANES = 1 << 17, 8, 1  # of scrypt (RFC 7914): 128 MiB, half a second; what OWASP asks of it


@dataclass(frozen=True, slots=True)
class Backup:
    """What one holds. `files` of `site` lack the content of `omitted` ones, by their paths as the site file has them."""

    node: str
    lbkit: str
    when: float
    site: Bundle
    omitted: tuple[str, ...]
    applied: Applied
    intents: tuple[Intent, ...]
    wanted: Mapping[Kept, bool]


def backup(
    site: Site, site_file: Path, to: Path, password: bytes | None, state: Path | None = None, *, force: bool = False
) -> Backup:
    """Write one of this node to `to`, which nobody else may read; secrets under `password`, None: without them.

    Raises Misuse where `to` is there already, unless `force`; and where the site or something it names can't be read.
    """
    if to.exists() and not force:
        raise Misuse(f"{to} is there already, and stays as it is. Give another name with -o, or --force.")
    given = bundle.gather(site_file)
    secret = tuple(one.given for one in given.files if one.secret)
    made = Backup(
        name_of(site),
        version("lbkit-core"),
        round(time.time(), 3),
        given,
        secret if password is None else (),
        Applied.read(state),
        Intents(state).last_words(),
        {name: track.read(site, name, state) for name in get_args(Kept)},
    )
    try:
        disk.write(to, _written(made, password), 0o600)
    except OSError as e:
        raise CannotRun(
            f"{to} can't be written: {e.strerror}. {disk.way_out(e, 'Give another place with -o.')}"
        ) from None
    return made


def read(path: Path, password: bytes | None = None) -> Backup:
    """What `backup` wrote. Raises Misuse for anything else, for a password that is missing or wrong, CannotRun."""
    content = disk.read(path)
    if content is None:
        raise Misuse(f"{path} is not there. Give a file that lbkit backup wrote.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    found = document.get("lbkit_backup") if isinstance(document, dict) else None
    if type(found) is int and found > VERSION:
        raise Misuse(f"a newer lbkit wrote {path} (version {found}). Use that lbkit.")
    if not isinstance(document, dict) or type(found) is not int or found != VERSION:
        raise Misuse(f"{path} is no backup that lbkit wrote, or it is cut off. Give another.")
    try:
        return _read(document, path, password)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Misuse(f"{path} is damaged: something of it is missing. Give another.") from None


def _written(made: Backup, password: bytes | None) -> bytes:
    secrets = {one.given: base64.b64encode(one.content).decode() for one in made.site.files if one.secret}
    files = tuple(replace(one, content=b"") if one.secret else one for one in made.site.files)
    document: dict[str, Any] = {
        "lbkit_backup": VERSION,
        "node": made.node,
        "lbkit": made.lbkit,
        "when": made.when,
        "site": replace(made.site, files=files).as_dict(),
        "secret": sorted(secrets),
        "applied": made.applied.as_dict(),
        "intents": [one.as_dict() for one in made.intents],
        "wanted": dict(made.wanted),
    }
    if password is not None:
        salt, nonce = os.urandom(16), os.urandom(12)
        sealed = AESGCM(_key(password, salt)).encrypt(nonce, json.dumps(secrets).encode(), _outside(document))
        document["sealed"] = {
            name: base64.b64encode(value).decode()
            for name, value in (("salt", salt), ("nonce", nonce), ("data", sealed))
        }
    return json.dumps(document, indent=1).encode() + b"\n"


def _read(document: dict[str, Any], path: Path, password: bytes | None) -> Backup:
    sealed = document.pop("sealed", None)
    node, lbkit, secret, wanted = (document[name] for name in ("node", "lbkit", "secret", "wanted"))
    site = Bundle.of(document["site"])
    if not (isinstance(node, str) and isinstance(lbkit, str) and {*secret} <= {one.given for one in site.files}):
        raise ValueError
    omitted = tuple(secret)
    if sealed is not None:
        opened = _opened(document, sealed, path, password)
        omitted = ()
        site = replace(
            site,
            files=tuple(
                replace(one, content=base64.b64decode(opened[one.given])) if one.given in secret else one
                for one in site.files
            ),
        )
    return Backup(
        node,
        lbkit,
        float(document["when"]),
        replace(site, files=tuple(replace(one, secret=one.secret or one.given in secret) for one in site.files)),
        omitted,
        Applied.of(document["applied"]),
        tuple(Intent.of(one) for one in document["intents"]),
        {name: wanted[name] is True for name in get_args(Kept)},
    )


def _opened(
    document: Mapping[str, Any], sealed: Mapping[str, str], path: Path, password: bytes | None
) -> dict[str, str]:
    if password is None:
        raise Misuse(f"the secrets in {path} are encrypted. Give the file that holds their password: --password-file")
    salt, nonce, data = (base64.b64decode(sealed[name], validate=True) for name in ("salt", "nonce", "data"))
    try:
        opened: dict[str, str] = json.loads(AESGCM(_key(password, salt)).decrypt(nonce, data, _outside(document)))
    except InvalidTag:
        raise Misuse(f"the password does not open {path}, or the file was changed since it was written.") from None
    return opened


def _key(password: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST, r=_BLOCKS, p=_LANES).derive(password)


def _outside(document: Mapping[str, Any]) -> bytes:
    """All but the secrets, as it is authenticated with them."""
    return json.dumps(document, sort_keys=True).encode()
