"""Reload: a new worker with what is on disk, without losing or misrouting a connection."""

from __future__ import annotations

from pathlib import Path

from lbkit.errors import Misuse
from lbkit.haproxy import guarded, program
from lbkit.haproxy.engine import Haproxy
from lbkit.operate import audit
from lbkit.operate.apply import in_force
from lbkit.operate.outcome import Applied, Progress
from lbkit.operate.wording import many
from lbkit.site.model import Site
from lbkit.state.intents import Intents


def reload(
    site: Site, *, dry_run: bool = False, state: Path | None = None, progress: Progress = lambda step: None
) -> Applied:
    """Reload HAProxy with the configuration on disk, which HAProxy itself checks first; intents are in force from its first
    connection on, and every Last Successful VIP stays where it is.

    Raises EngineError where HAProxy refuses: the old worker goes on. `state`: the folder of intents.
    """
    haproxy = Haproxy(site)
    if not haproxy.configuration.exists():
        raise Misuse(f"{haproxy.configuration} is not there. Write it first: lbkit apply")
    progress("asking HAProxy what it thinks of the configuration on disk")
    program.check(program.find(), haproxy.configuration)
    done = Applied(reloaded=not dry_run, dry_run=dry_run)
    haproxy.master.processes()
    if dry_run:
        done.steps.append(f"HAProxy would be reloaded with {haproxy.configuration}")
        return done
    progress("reloading HAProxy")
    with Intents(state).alone():
        pid = guarded.reload(haproxy, in_force(site, state))
    done.steps.append(f"HAProxy reloaded: worker {pid}; every intent is in force")
    audit.note("reloaded", done.steps[0], state, worker=pid)
    if old := haproxy.old_connections():
        done.warnings.append(f"{many(old, 'connection')} of before the reload live on in old workers, until they end.")
    return done
