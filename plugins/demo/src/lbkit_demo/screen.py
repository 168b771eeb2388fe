"""The demo on a terminal, readable at 80 columns. What a remote or a tool said is printed as text, never as markup."""

from __future__ import annotations

import sys
from collections import Counter
from os.path import relpath
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lbkit_demo.operations import HELD
from lbkit_demo.site import STATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from lbkit import Found, Result
    from lbkit.checks.result import Status
    from lbkit_demo.echoscu import Said
    from lbkit_demo.fault import Fault, Verdict
    from lbkit_demo.operations import Operation
    from lbkit_demo.site import SimulatedSite
    from lbkit_demo.story import Chapter

MOST_SENTENCES = 2  # of an operation; more are about each of many VIPs
MOST_FAILURES = 5  # that are shown of a step
COLOURS: dict[Status, str] = {"up": "green", "down": "red", "not-testable": "yellow"}


def result_line(result: Result) -> Text:
    """The line that `lbkit check` prints."""
    line = Text(result.line())
    line.stylize(f"bold {COLOURS[result.status]}", 0, len(result.status))
    return line


def echoscu_line(said: Said, status: str) -> Text:
    """What a script would take its exit code for, whether that is right, and its words."""
    taken_for: Status = "up" if said.up else "down"
    wrong = ", WRONG" if taken_for != status else ""
    exit_code = "killed" if said.exit is None else f"exit {said.exit}"
    return Text.assemble(
        (taken_for, f"bold {COLOURS[taken_for]}"),
        (wrong, "bold yellow"),
        f" ({exit_code}): {said.said or 'not a word'}",
    )


def opening(console: Console, site: SimulatedSite, found: Sequence[Found]) -> None:
    """The VIPs, all checked before any server is broken."""
    console.print(Text("The CCW site, simulated on this machine, and what lbkit says of it\n", style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "VIP", "at", "itself", "its servers"):
        table.add_column(heading, no_wrap=heading != "at")
    for number, vip in enumerate(site.site.vips, 1):
        results = [(one.server, one.result) for one in found if one.vip == vip.label]
        itself = Text(", ").join(_tally([result for server, result in results if server is None]))
        servers = Text(", ").join(_tally([result for server, result in results if server is not None]))
        ports = ", ".join(map(str, vip.ports))
        table.add_row(str(number), vip.label, f"{vip.address}:{ports}", itself, servers)
    console.print(table)
    for one in found:
        if one.result.status == "down":
            console.print(result_line(one.result))
    if any(one.result.status == "not-testable" for one in found):
        console.print("\nNot testable: a layer-4 balancer can't connect to its own VIPs, which are on this machine.")
    console.print()


def _tally(results: Sequence[Result]) -> list[Text]:
    """Each status with its number; a single result needs none."""
    counts = Counter(result.status for result in results)
    return [
        Text(status if len(results) == 1 else f"{counts[status]} {status}", colour)
        for status, colour in COLOURS.items()
        if counts[status]
    ]


def operating(console: Console, site: SimulatedSite) -> None:
    """What the next chapters are about."""
    vips = [vip for vip in site.site.vips if vip.mode == "l7-snat"]
    console.print(Text(f"Operating it: clients ask all {len(vips)} layer-7 VIPs all the time\n", style="bold"))


def operation(console: Console, number: int, told: Operation) -> None:
    """What was done, where new connections went, and what the clients noticed."""
    head = Table.grid(padding=(0, 2))
    head.add_row(f"{number:2}", Text(told.title, style="bold"))
    console.print(head)
    lines = Table.grid()
    for sentence in told.said if len(told.said) <= MOST_SENTENCES else []:
        lines.add_row(Text(sentence, "dim"))
    for server, vips in _by_server(told.seen).items():
        lines.add_row(Text.assemble(", ".join(vips), " → ", (server, "bold")))
    for vip, server in told.goes_to.items():
        if told.seen[vip] != [server]:
            lines.add_row(Text(f"EXPECTED {vip} → {server}", "bold red"))
    if told.held is not None:
        lines.add_row(_held(told))
    lines.add_row(_noticed(told))
    for one in told.failed[:MOST_FAILURES]:
        lines.add_row(Text(f"{one.vip}: {one.failure}", "red"))
    console.print(Padding(lines, (0, 0, 1, 4), expand=False))


def _by_server(seen: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The VIPs whose new connections each server got."""
    found: dict[str, list[str]] = {}
    for vip, servers in seen.items():
        found.setdefault(" and ".join(servers) or "nobody", []).append(vip)
    return found


def _held(told: Operation) -> Text:
    expected = 0 if told.ends_held else HELD
    ended = f" and {HELD - expected} are to end" if told.ends_held else ""
    text = f"of {HELD} open connections that it had, {told.held} live on{ended}"
    return Text(text, "" if told.held == expected else "bold red")


def _noticed(told: Operation) -> Text:
    cut = f"; {told.cut} besides were under way on it, and ended with it" if told.cut else ""
    failed = (f"{len(told.failed)} failed", COLOURS["down" if told.failed else "up"])
    return Text.assemble(f"{told.requests} requests, ", failed, cut)


def operated(console: Console, told: Sequence[Operation]) -> None:
    """What the clients noticed of all of it."""
    requests, failed = sum(one.requests for one in told), sum(len(one.failed) for one in told)
    right = sum(one.told for one in told)
    console.print(
        Text(
            f"{requests} requests, {failed} failed that should not; {right} of {len(told)} steps went as they should.\n",
            "bold",
        )
    )


def chapter(console: Console, number: int, told: Chapter) -> None:
    """What was broken, and what each tool says."""
    broken = Table.grid(padding=(0, 2))
    broken.add_row(f"{number:2}", Text(told.fault.summary, style="bold"))
    for name in told.names:
        broken.add_row("", Text(name, style="dim"))
    console.print(broken)
    said = Table.grid(padding=(0, 2))
    said.add_row("lbkit", result_line(told.found[0].result))
    if len(told.found) > 1:
        said.add_row("", Text(f"and so of {len(told.found) - 1} more", "dim"))
    if told.echoscu is not None:
        said.add_row("echoscu", echoscu_line(told.echoscu, told.fault.expected.status))
    for other in told.others:
        said.add_row("BESIDES", result_line(other.result))
    said.add_row("mended", _mended(told.mended))
    if not told.told:
        said.add_row("EXPECTED", _verdict(told.fault.expected))
    console.print(Padding(said, (0, 0, 1, 4), expand=False))


def _mended(found: Sequence[Found]) -> Text:
    still = [one.result for one in found if one.result.status == "down"]
    return result_line(still[0]) if still else Text("all up again", COLOURS["up"])


def tally(console: Console, told: Sequence[Chapter]) -> None:
    """What this run showed, in figures."""
    right = sum(chapter.told for chapter in told)
    console.print(
        Text(f"{len(told)} faults. lbkit found {right} of them, blamed nobody else, and saw them mended.", style="bold")
    )
    said = [(one.echoscu.up, one.fault.expected.status == "up") for one in told if one.echoscu]
    if not said:
        console.print("echoscu is not installed here, so what it would have said is left out.\n")
        return
    missed, blamed = said.count((True, False)), said.count((False, True))
    console.print(
        f"Of the {len(said)} DICOM faults, echoscu's exit code said up for {missed} that were down, and down for {blamed} "
        "that answered.\n"
    )


def standing(console: Console, site: SimulatedSite) -> None:
    """The site that stays: its file, what is wrong with it, and what to type in another terminal."""
    console.print(Text(f"The CCW site runs on this machine: {len(site.site.vips)} VIPs.", style="bold"))
    console.print(Text(f"Its site file: {site.file}"), soft_wrap=True)
    broken = {name: server.fault for name, server in site.servers.items() if server.is_broken}
    for name, fault in broken.items():
        console.print(Text.assemble("  ", (name, "bold"), f"\n    {fault.summary}\n    ", _verdict(fault.expected)))
    if not broken:
        console.print("All its servers are up; --fault SERVER=FAULT breaks one, --faults lists how.")
    lbkit, file = _lbkit(), quote(str(site.file))
    host, port = site.servers["CCW_DICOMSERVICE_VS/DICOM_Server_1"].addresses[0]
    console.print("\nIn another terminal:")
    console.print(Text(f"  export LBKIT_SITE={file} {STATE}={quote(str(site.state))}"), soft_wrap=True)
    for command in (
        "check site",
        "overview",
        "drain CCW_NOTIFICATION CCW_App_Server_1",
        "why CCW_NOTIFICATION",
        "online CCW_NOTIFICATION CCW_App_Server_1",
        "log --since 1h",
        f"check c-echo {host}:{port}",
        f"explain c-echo {host}:{port}",
    ):
        console.print(Text(f"  {lbkit} {command}"), soft_wrap=True)
    console.print("\nCtrl-C ends it.")


def tables(console: Console, kinds: Mapping[str, Sequence[Fault]]) -> None:
    """Every fault that there is, by the kind of server."""
    for kind, faults in kinds.items():
        console.print(Text(f"{kind} servers", style="bold"))
        table = Table.grid(padding=(0, 2))
        for fault in faults:
            table.add_row(f"  {fault.name}", Text.assemble(f"{fault.summary}\n", _verdict(fault.expected)))
        console.print(table)
        console.print()


def what_next(console: Console) -> None:
    """What to type next, with the command as this shell finds it."""
    lbkit = _lbkit()
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_row(f"{lbkit} demo --stay", "keep this site running")
    table.add_row(f"{lbkit} check c-echo HOST:PORT", "a server of your own")
    table.add_row(f"{lbkit} explain c-echo HOST:PORT", "its negotiation, in words")
    table.add_row(f"{lbkit} --help", "what else there is")
    console.print("What to type next:")
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _verdict(expected: Verdict) -> Text:
    return Text(" ".join(expected), style=COLOURS[expected.status])


def _lbkit() -> str:
    return "lbkit" if which("lbkit") else relpath(sys.argv[0])
