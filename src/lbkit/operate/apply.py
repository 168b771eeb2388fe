"""From the site to engines that run with it: render, diff, apply. HAProxy's part is here; those of the others are beside."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from lbkit import disk
from lbkit.checks.plan import KindOf
from lbkit.errors import CannotRun, EngineError, NotDone
from lbkit.haproxy import guarded, listening, process, program
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.program import Program
from lbkit.haproxy.render import Rendered
from lbkit.haproxy.render import render as rendered
from lbkit.install import difference, files, ritual
from lbkit.install.difference import Change
from lbkit.operate import apply_agent, apply_firewall, apply_ipvs, apply_keepalived, apply_snmpd, apply_transparent
from lbkit.operate.activation import Activation
from lbkit.operate.outcome import Applied, Progress
from lbkit.operate.wording import in_words, many
from lbkit.site.model import Site
from lbkit.state.intents import Intent, Intents

MANIFEST = ".lbkit-manifest.json"

EngineName = Literal["haproxy", "ipvs", "keepalived", "firewall", "snmpd"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


def render(site: Site, kind_of: KindOf, node: str | None = None) -> Rendered:
    """The site as HAProxy's files, for the HAProxy of this machine, or for the oldest where there is none.

    `node`: which of the pair they are for, where this machine is none of them. Raises Misuse.
    """
    try:
        version = program.find().version
    except CannotRun:
        version = program.OLDEST
    return rendered(site, kind_of, node, version)


def diff(
    site: Site,
    kind_of: KindOf,
    node: str | None = None,
    *,
    engines: Collection[EngineName] = ENGINES,
    state: Path | None = None,
) -> tuple[Change, ...]:
    """What `apply` would change on this machine: files, IPVS, kernel settings. Raises Misuse, CannotRun, EngineError."""
    changes: list[Change] = []
    if "haproxy" in engines and _has_layer_7(site):
        made = render(site, kind_of, node).files
        changes += difference.changes(made, manifest(site))
        changes += apply_transparent.diff(made, Path(site.haproxy.folder))
    if "ipvs" in engines and apply_ipvs.concerns(site, state):
        change = _change_of_ipvs(site, engines, state)
        changes += [change] if change else []
    if "keepalived" in engines and apply_keepalived.concerns(site):
        changes += apply_keepalived.diff(site, node, state)
    if "firewall" in engines and apply_firewall.concerns(site):
        changes += apply_firewall.diff(site, node)
    if "snmpd" in engines and apply_snmpd.concerns(site):
        changes += apply_snmpd.diff(site)
    return tuple(changes)


def apply(
    site: Site,
    kind_of: KindOf,
    node: str | None = None,
    *,
    dry_run: bool = False,
    engines: Collection[EngineName] = ENGINES,
    state: Path | None = None,
    progress: Progress = lambda step: None,
    force: bool = False,
) -> Applied:
    """Bring the engines to the site: HAProxy, where it has layer-7 VIPs, IPVS, where it has layer-4 ones, and keepalived,
    where it has a pair: last, so that an address is served before it is here.

    HAProxy: check, write, reload (or start) without losing a connection, read back. Where nothing differs nothing is
    reloaded; intents are put in force again all the same. IPVS: only what differs is touched. keepalived: as HAProxy, and a
    master stays master.

    Raises Misuse, CannotRun; what HAProxy and keepalived say of a configuration that they refuse, and EngineError where IPVS
    is out of reach, before anything is written; RolledBack where HAProxy or keepalived failed later, and what it had before
    is in force again.
    `state`: the folder of intents. The firewall, where the site wants one, is loaded before all this, and is as it was if
    any of it fails; Refused where it would cut the ssh session that this runs in, unless `force`. snmpd, where the site has
    [snmp], goes after all this.
    """
    done = Applied(dry_run=dry_run)
    snmpd = apply_snmpd.begun(site) if "snmpd" in engines else None
    with apply_firewall.applied(site, node, done, progress, force=force, wanted="firewall" in engines):
        _apply(site, kind_of, node, done, engines, state, progress)
    if snmpd is not None:
        snmpd.apply(done, progress)
    return done


def _apply(
    site: Site,
    kind_of: KindOf,
    node: str | None,
    done: Applied,
    engines: Collection[EngineName],
    state: Path | None,
    progress: Progress,
) -> None:
    dry_run, change = done.dry_run, None
    layer_4: Literal["none", "done", "left"]
    layer_4 = "none" if not apply_ipvs.concerns(site, state) else "done" if "ipvs" in engines else "left"
    if layer_4 == "done":
        change = _change_of_ipvs(site, engines, state)
    pair = apply_keepalived.begun(site, node, state, done) if "keepalived" in engines else None
    if "haproxy" in engines and _has_layer_7(site):
        _apply_haproxy(site, kind_of, node, done, state, progress)
    if layer_4 == "done":
        if change is not None:
            done.changes += (change,) if apply_ipvs.LEFT not in change.notes else ()
            done.steps.append(change.summary)
        elif dry_run:
            done.steps.append("IPVS: nothing differs")
        if not dry_run:
            apply_ipvs.apply(site, kind_of, lambda: in_force(site, state), done, state, progress)
    if "haproxy" in engines and _has_layer_7(site) and not dry_run:
        apply_agent.apply(site, kind_of, done, progress, layer_4)
    if pair is not None:
        pair.apply(done, progress)
    if not dry_run:
        with Intents(state).alone():
            for one in Intents(state).forget(_places(site)):
                done.warnings.append(f"{one.vip}/{one.server} is no longer in the site: forgotten is {in_words(one)}.")


def _change_of_ipvs(site: Site, engines: Collection[EngineName], state: Path | None) -> Change | None:
    """That IPVS is out of reach is known before anything is touched."""
    try:
        return apply_ipvs.diff(site, in_force(site, state), state)
    except EngineError as e:
        if "haproxy" not in engines or not _has_layer_7(site):
            raise
        why = str(e).removesuffix(".")
        raise type(e)(f"{why}; for HAProxy's part alone: --only haproxy. Nothing was touched.") from None


def _has_layer_7(site: Site) -> bool:
    """Or had, so that something of it is still installed."""
    return manifest(site).exists() or any(vip.mode == "l7-snat" for vip in site.vips)


def _apply_haproxy(
    site: Site, kind_of: KindOf, node: str | None, done: Applied, state: Path | None, progress: Progress
) -> None:
    found = program.find()
    made = rendered(site, kind_of, node, found.version)
    haproxy = Haproxy(site)
    progress(f"asking HAProxy {'.'.join(map(str, found.version))} what it thinks of it")
    _check(made, found, haproxy.folder)
    running = process.is_running(haproxy)
    changes = difference.changes(made.files, manifest(site))
    reloads = running and bool(changes)
    changes += apply_transparent.diff(made.files, haproxy.folder)
    done.changes += changes
    done.steps += [change.summary for change in changes]
    if done.dry_run:
        done.started, done.reloaded = not running, reloads
        done.steps.append(_would(done))
        return
    with Intents(state).alone():
        _bring(haproxy, found, made, in_force(site, state), done, progress)


def _bring(
    haproxy: Haproxy,
    found: Program,
    made: Rendered,
    intents: dict[tuple[str, str], Intent],
    done: Applied,
    progress: Progress,
) -> None:
    guarded.forget_state_file(haproxy)
    activate = Activation(haproxy, found, intents, progress)
    kernel = apply_transparent.Step(made.files, haproxy.folder)
    kernel.check()
    changed = ritual.install(
        made.files,
        manifest(haproxy.site),
        check=lambda: _check_places(haproxy, made),
        activate=kernel.then(activate),
        verify=kernel.verified(lambda: verify(haproxy)),
    )
    kernel.settle()
    if changed or not activate.was_running or not _holds(haproxy):
        if not changed:
            activate()
            verify(haproxy)
        done.steps.append(activate.done)
    else:
        _bring_back(haproxy, intents, done)
    done.started, done.reloaded = not activate.was_running, activate.was_running and bool(activate.done)
    done.steps += [kernel.done] if kernel.done else []
    done.steps.append(f"read back: {many(len(haproxy.vips), 'VIP')} with all real servers, and every intent")


def in_force(site: Site, state: Path | None = None) -> dict[tuple[str, str], Intent]:
    """What operators asked for, by VIP and real server; what the site no longer has is left out."""
    known = _places(site)
    return {key: one for one in Intents(state).all() if (key := (one.vip, one.server)) in known}


def _places(site: Site) -> set[tuple[str, str]]:
    return {(vip.label, server.label) for vip in site.vips for server in vip.servers}


def verify(haproxy: Haproxy) -> None:
    """Read back that HAProxy has every VIP and real server as the site has it. Raises NotDone."""
    servers = {(one.backend, one.name): one for one in haproxy.runtime.servers()}
    for vip in haproxy.vips:
        for server in vip.servers:
            there = servers.get((vip.label, server.label))
            if there is None or there.address != server.address or there.port != (server.port or 0):
                has = f"{there.address}:{there.port}" if there else "none"
                raise NotDone(f"HAProxy was given {vip.label}/{server.label} at {server.address}, and has {has}.")


def _holds(haproxy: Haproxy) -> bool:
    """Whether HAProxy has what is on its disk; it may have been written there by another hand."""
    try:
        verify(haproxy)
    except NotDone:
        return False
    return True


def _check(made: Rendered, found: Program, folder: Path) -> None:
    """HAProxy's own word on the files, before any of them is written."""
    with TemporaryDirectory(prefix="lbkit-") as place:
        files.stage(made.files, folder, Path(place))
        program.check(found, Path(place, "haproxy.cfg"))


def _check_places(haproxy: Haproxy, made: Rendered) -> None:
    now = disk.read(haproxy.configuration) or b""
    wanted = next(one.content for one in made.files if one.path == haproxy.configuration)
    listening.check(now.decode(errors="replace"), wanted.decode())


def _bring_back(haproxy: Haproxy, intents: dict[tuple[str, str], Intent], done: Applied) -> None:
    for vip, server in guarded.apply_intents(haproxy, intents):
        done.steps.append(f"{vip}/{server} brought back to what is wanted of it")
    if not done.steps:
        done.steps.append("nothing differs, and nothing was reloaded")


def _would(done: Applied) -> str:
    if done.started:
        return "HAProxy would be started: nobody answers at its master socket"
    if done.reloaded:
        return "HAProxy would be reloaded"
    return f"{'' if done.changes else 'nothing differs; '}nothing would be reloaded"


def manifest(site: Site) -> Path:
    """Where it stands what lbkit installed of HAProxy's files."""
    return Path(site.haproxy.folder, MANIFEST)
