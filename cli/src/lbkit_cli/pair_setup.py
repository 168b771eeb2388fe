"""`lbkit pair setup`: the two nodes meet."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit.errors import Misuse
from lbkit_cli.site_option import Node as NodeName
from lbkit_cli.site_option import SiteFile
from lbkit_cli.verb_options import DryRun, Json, print_json

if TYPE_CHECKING:
    from lbkit.pair.meeting import Invitation
    from lbkit.site.model import Site, Ssh


@dataclass
class _Meeting:
    """What this node goes by. `site`: None: it has none yet."""

    node: str
    site_file: Path
    site: Site | None
    way: Ssh
    steps: list[str] = field(default_factory=list)


def setup(
    peer: Annotated[
        str | None, typer.Option("--peer", metavar="LINE", help="What this command prints on the other node.")
    ] = None,
    node: NodeName = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Have the two nodes meet: make this node's key, print its invitation, and take that of the other node.

    On the first node: `lbkit pair setup` prints a line. On the second: `lbkit pair setup --peer 'LINE'` takes it, and
    prints one for the first. The line has no secret. The other node may then run `lbkit pair-receive` here over ssh, and
    nothing else. Done twice it changes nothing. Run it as root. Exits with 3 where the line is not whole.

    \b
    Example: lbkit pair setup --peer 'lbkit-invitation-1 lb1 ssh-ed25519 AAAA... 0123456789ab'
    """
    from lbkit.pair.meeting import Invitation, invitation, make_key

    meeting = _meeting(node, site)
    guest = Invitation.of(peer) if peer else None
    if guest:
        _demand_other(meeting, guest)
    key_file = Path(meeting.way.key_file)
    if dry_run:
        _foretell(meeting, guest)
    else:
        meeting.steps.append(f"{key_file} {'made' if make_key(key_file) else 'is there'}: this node's key")
        if guest:
            _take(meeting, guest)
    line = None if dry_run and not key_file.exists() else invitation(meeting.node, key_file).line()
    answers = _asked(meeting, guest) if guest and not dry_run else ""
    if as_json:
        met = guest.node if guest else None
        print_json({"node": meeting.node, "invitation": line, "peer": met, "answers": answers, "steps": meeting.steps})
        return
    for step in meeting.steps:
        typer.echo(f"{'would: ' if dry_run else ''}{step}", err=True)
    if guest and not dry_run:
        typer.echo(answers, err=True)
    if line:
        known = " (unless it has this node's line already)" if guest else ""
        typer.echo(
            f"next, on the other node{known}: lbkit pair setup --peer LINE, with this line in single quotes:", err=True
        )
        typer.echo(line)


def _meeting(node: str | None, given: str | None) -> _Meeting:
    from lbkit import load_site
    from lbkit.site.found import site_file
    from lbkit.site.model import Ssh
    from lbkit.state.node import NODE, node_of

    default = Path("/etc/lbkit/site.toml")
    try:
        file = site_file(given).absolute()
    except Misuse:
        file = default
    site = load_site(str(file)) if given or file.exists() else None
    if site is not None and site.pair is not None:
        found = node_of(site, node)
        assert found is not None  # noqa: S101
        return _Meeting(found.name, file, site, site.pair.ssh)
    if site is not None and given:
        raise Misuse(f"{file} has no [pair]: give it one, or leave --site away on a node that gets its site by sync.")
    name = node or os.environ.get(NODE) or socket.gethostname().partition(".")[0]
    return _Meeting(name, default, None, Ssh.model_validate({}))


def _demand_other(meeting: _Meeting, guest: Invitation) -> None:
    if guest.node == meeting.node:
        raise Misuse(
            f"this line is {guest.node}'s own: give it on the other node. (Another name for this one: --node.)"
        )
    if meeting.site is None or meeting.site.pair is None:
        return
    names = [one.name for one in meeting.site.pair.nodes]
    if guest.node not in names:
        raise Misuse(
            f"node {guest.node} is not of the pair of {meeting.site_file}: that has {' and '.join(names)}. "
            f"Which is it? On the other node: lbkit pair setup --node NAME"
        )


def _foretell(meeting: _Meeting, guest: Invitation | None) -> None:
    key_file = Path(meeting.way.key_file)
    if not key_file.exists():
        meeting.steps.append(f"make {key_file}, this node's key")
    if guest:
        meeting.steps.append(f"let {guest.node} run lbkit pair-receive here, as {meeting.way.user}")
        meeting.steps.append(f"know {guest.node}'s host keys, in {meeting.way.known_hosts_file}")


def _take(meeting: _Meeting, guest: Invitation) -> None:
    import pwd

    from lbkit.operate import audit
    from lbkit.pair.meeting import know, let_in

    user = meeting.way.user
    try:
        home = Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise Misuse(f"this machine has no user {user}, as which {guest.node} is to come ([pair.ssh] user).") from None
    new = let_in(guest, home, user, meeting.site_file)
    meeting.steps.append(
        f"{guest.node} {'may' if new else 'could already'} run lbkit pair-receive here, as {user}; nothing else"
    )
    if new:
        text = f"{guest.node} may run lbkit pair-receive here, as {user}"
        audit.note("node-let-in", text, None, node=guest.node)
    known = Path(meeting.way.known_hosts_file)
    new = know(guest, known)
    meeting.steps.append(f"{guest.node}'s host keys {'are' if new else 'were already'} in {known}")


def _asked(meeting: _Meeting, guest: Invitation) -> str:
    """Whether the other node answers already, in words."""
    from lbkit.errors import LbkitError
    from lbkit.pair.link import Link

    if meeting.site is None or meeting.site.pair is None:
        return f"once {guest.node} has this node's line, it gives this node its site, there: lbkit pair sync"
    there = next(one for one in meeting.site.pair.nodes if one.name == guest.node)
    try:
        with Link(meeting.site, there) as link:
            answer = link.ask("hello")
    except LbkitError as e:
        return f"{guest.node} does not answer yet: {e}"
    return f"{guest.node} answers, with lbkit {answer.get('lbkit')}: the nodes have met"
