"""`groundwire doctor`: what this machine has, and what that means."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from groundwire_server.cli.finding import Finding
from groundwire_server.cli.output import console, print_indented, print_json
from groundwire_server.cli.probe_machine import machine
from groundwire_server.cli.probe_software import software

SIGNS = {"ok": ("✓", "good"), "note": ("•", "note"), "problem": ("✗", "bad")}


def run(arguments: Namespace) -> int:
    """Look at everything; 1 if something that is needed is missing."""
    probes = [*machine(arguments.data_dir), *software()]
    findings: list[Finding] = []
    screen = console()
    for probe in probes:
        finding = probe()
        findings.append(finding)
        if arguments.json:
            print_json(finding)
        else:
            _show(finding, screen)
    problems = [finding for finding in findings if finding.state == "problem"]
    if not arguments.json:
        _sum_up(problems, screen)
    return int(bool(problems))


def _show(finding: Finding, screen: Console) -> None:
    sign, style = SIGNS[finding.state]
    screen.print(Text.assemble((f"{sign} ", style), (finding.name, "title"), f"  {finding.value}"))
    print_indented(screen, finding.meaning, style="faint")


def _sum_up(problems: Sequence[Finding], screen: Console) -> None:
    screen.print()
    if problems:
        names = ", ".join(finding.name for finding in problems)
        screen.print(f"`groundwire serve` would not work yet: {names}.", style="bad")
    else:
        screen.print("Everything that is needed is here: `groundwire serve`.", style="good")
