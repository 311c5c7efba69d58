"""`groundwire ask`: one question, one answer."""

from __future__ import annotations

from argparse import Namespace

from groundwire_server.cli.answer import as_json, options, show_ending, show_sources, stream
from groundwire_server.cli.connection import connect
from groundwire_server.cli.output import console, print_json


def run(arguments: Namespace) -> int:
    """Ask, stream the answer, and show its sources."""
    chosen = options(arguments)
    if arguments.cache:
        chosen["cache"] = arguments.cache
    with connect(arguments) as client:
        answer = client.generate(arguments.question, **chosen)
        if arguments.json:
            answer.text()
            print_json(as_json(arguments.question, answer))
            return 0
        screen = console()
        stream(answer, screen)
    if answer.citations:
        screen.print()
        show_sources(answer, screen)
    if answer.finished:
        screen.print()
        show_ending(answer.finished, screen)
    return 0
