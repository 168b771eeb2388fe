"""`lbkit pair replace-node`: the other machine is gone for good, and a new one comes in its place, built from this one."""

from __future__ import annotations

import pwd
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbkit.errors import LbkitError, Misuse, NotAllowed, NotRunning, Refused
from lbkit.operate import audit
from lbkit.operate.sync import the_two
from lbkit.pair import meeting, parting
from lbkit.pair.link import Link
from lbkit.site.model import Node, Site
from lbkit.state import left
from lbkit.state.applied import Applied
from lbkit.state.left import Left
from lbkit.state.who import who_asks

_ASKS = 20.0  # seconds; a machine that is gone is known within 3


@dataclass(slots=True)
class Replaced:
    """What was forgotten of the old machine, or would be, and what is to be typed. `todo`: in order, each with its place."""

    node: str
    invitation: str
    dry_run: bool = False
    steps: list[str] = field(default_factory=list)
    todo: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "node": self.node,
            "invitation": self.invitation,
            "dry_run": self.dry_run,
            "steps": self.steps,
            "todo": self.todo,
        }


def replace_node(
    site: Site,
    site_file: Path,
    state: Path | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    link: Link | None = None,
) -> Replaced:
    """Forget the other node's machine, and say how a new one takes its place. This node's generation stays what it is.

    The old machine, should it come back, is let in no more, and its site is older than the one here.
    Raises Refused while the other node answers, unless it is forced; Misuse where no site was applied here; CannotRun.
    """
    here, peer = the_two(site, site_file)
    assert site.pair is not None  # noqa: S101
    way = site.pair.ssh
    found = Applied.read(state)
    if not found.digest:
        raise Misuse(
            f"{site_file} was never applied here: there is nothing to build {peer.name} from. First: lbkit apply"
        )
    if not force and _answers(site, peer, link):
        raise Refused(
            f"{peer.name} answers: it is there, and in the pair. Have it leave first (lbkit pair leave, there), and switch "
            "it off; or give --force."
        )
    done = Replaced(peer.name, meeting.invitation(here.name, Path(way.key_file)).line(), dry_run)
    if dry_run:
        done.steps.append(f"the keys of {peer.name}'s machine are forgotten")
    else:
        home = _home(way.user, peer)
        left.write(Left(peer.name, who_asks(), round(time.time(), 3)), state)
        shut = parting.shut_out(peer.name, home)
        known = parting.unknow(peer.name, Path(way.known_hosts_file))
        old = " and ".join(
            what for what, was in (("its key is let in no more", shut), ("its host keys are forgotten", known)) if was
        )
        done.steps.append(f"{peer.name}'s old machine: {old or 'nothing was known of it'}")
        audit.note("node-replaced", f"{peer.name}: its old machine is let in no more", state, node=peer.name)
    done.steps.append(f"{here.name} goes on alone with {found}")
    done.todo = [
        f"on the new machine, which has lbkit, HAProxy, keepalived and {peer.address}: "
        f"lbkit pair setup --node {peer.name} --peer '{done.invitation}'",
        f"on {here.name}, with the line that this prints: lbkit pair setup --peer 'LINE'",
        f"on {here.name}: lbkit pair sync",
        "on the new machine: systemctl enable --now lbkit-agent; then on either: lbkit pair status",
    ]
    return done


def _home(user: str, peer: Node) -> Path:
    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise Misuse(f"this machine has no user {user}, as which {peer.name} came ([pair.ssh] user).") from None


def _answers(site: Site, peer: Node, link: Link | None) -> bool:
    try:
        with link or Link(site, peer, _ASKS) as used:
            used.ask("hello")
    except (NotRunning, NotAllowed):
        return False
    except LbkitError:
        pass  # somebody is there
    return True
