"""What `groundwire serve` and `groundwire settings` do."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

import uvloop
from groundwire_index.errors import GroundwireError

from groundwire_server.observability import logs
from groundwire_server.open_files import raise_file_limit
from groundwire_server.settings import Settings
from groundwire_server.settings_environment import ignored
from groundwire_server.settings_report import as_json, as_markdown, as_text
from groundwire_server.settings_sources import BadSettingsError, load, parser
from groundwire_server.stop_signals import stop_signals

if TYPE_CHECKING:
    from groundwire_server.lifecycle import Server

_log = logging.getLogger(__name__)

OK = 0
CANNOT_START = 1
BAD_SETTINGS = 2
# A thread that reads records to be stored has Python to itself for so long, where it likes. With
# the usual 5 ms, a search that needs it ten times waits for 50.
_SWITCH_INTERVAL_S = 0.0005


def serve(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    0 after an orderly stop, 1 if the server cannot start, 2 if its settings are wrong.
    """
    try:
        settings = load(parser("serve"), argv).settings
    except BadSettingsError as error:
        return _complain(error.problems, BAD_SETTINGS)
    logs.configure(settings.log_level, settings.log_format)
    if variables := ignored():
        _log.warning("environment variables that are no settings: %s", ", ".join(variables))
    # gRPC would watch over every fork, and log that it cannot; ours only start other programs.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    raise_file_limit()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    return run(settings, _composed)


def run(settings: Settings, composed: Callable[[Settings], Server]) -> NoReturn:
    """Run the server that ``composed`` makes until it is told to stop, then end the process.

    ``composed`` is called when the signals are handled already.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, composed))


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


def _composed(settings: Settings) -> Server:
    # Imported here because it takes a while: a server told to stop meanwhile does so.
    from groundwire_server.app import server

    return server(settings)


async def _run(settings: Settings, composed: Callable[[Settings], Server]) -> NoReturn:
    with stop_signals() as stopping:
        try:
            await composed(settings).run(stopping, opened=_freeze)
        except GroundwireError as error:
            _leave(_complain([error.message], CANNOT_START))
        _leave(OK)


def _freeze() -> None:
    """What has been loaded by now stays.

    Python's search for garbage in it held everything up for a tenth of a second now and then.
    """
    gc.collect()
    gc.freeze()


def _leave(code: int) -> NoReturn:
    """End now: a thread may still be loading a model or parsing a file, and Python would wait.

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
