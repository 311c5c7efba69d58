"""What `groundwire serve` and `groundwire settings` do."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from threading import Thread
from typing import NoReturn

import uvloop
from groundwire_index.errors import GroundwireError

from groundwire_server.observability import logs
from groundwire_server.settings import Settings
from groundwire_server.settings_report import as_json, as_markdown, as_text
from groundwire_server.settings_sources import BadSettingsError, load, parser
from groundwire_server.stop_signals import stop_signals

OK = 0
CANNOT_START = 1
BAD_SETTINGS = 2


def serve(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    0 after an orderly stop, 1 if the server cannot start, 2 if its settings are wrong.
    """
    try:
        settings = load(parser("serve"), argv).settings
    except BadSettingsError as error:
        return _complain(error.problems, BAD_SETTINGS)
    logs.configure(settings.log_level, settings.log_format)
    # Most of the start is spent importing these libraries: the rest is done beside it.
    Thread(target=importlib.import_module, args=["sentence_transformers"], daemon=True).start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    return OK


def print_settings(argv: Sequence[str]) -> int:
    """Print every setting, its value, and where that came from; the exit code."""
    arguments = parser("settings")
    style = arguments.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="Print a JSON list.")
    style.add_argument("--markdown", action="store_true", help="Print docs/settings.md.")
    try:
        loaded = load(arguments, argv)
    except BadSettingsError as error:
        return _complain(error.problems, BAD_SETTINGS)
    if "--markdown" in argv:
        sys.stdout.write(as_markdown())
    else:
        sys.stdout.write((as_json if "--json" in argv else as_text)(loaded) + "\n")
    return OK


async def _serve(settings: Settings) -> None:
    with stop_signals() as stopping:
        # Imported here, when the signals are handled and the libraries are on their way.
        from groundwire_server.app import server

        try:
            came_to_serve = await server(settings).run(stopping)
        except GroundwireError as error:
            _leave(_complain([error.message], CANNOT_START))
        if not came_to_serve:
            _leave(OK)


def _leave(code: int) -> NoReturn:
    """End now: a thread may still be loading a model, and Python would wait for it.

    Everything that holds data has been closed.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _complain(sentences: Iterable[str], code: int) -> int:
    for sentence in sentences:
        sys.stderr.write(f"groundwire: {sentence}\n")
    return code
