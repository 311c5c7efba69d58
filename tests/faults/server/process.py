"""The small application as a process: run with the arguments of `groundwire serve`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

from groundwire_server.blocking import run_blocking
from groundwire_server.interceptors.admission import Admission
from groundwire_server.lifecycle import Server
from groundwire_server.observability import logs
from groundwire_server.observability.metrics import Metrics
from groundwire_server.serve import run
from groundwire_server.settings import Settings
from groundwire_server.settings_sources import load, parser

from tests.faults.server.application import Application, SlowGenerate, piece


class LoadsForever(Application):
    """Its engine's model never gets loaded, by a thread that cannot be interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.engine.start = self._load

    async def _load(self) -> None:
        await run_blocking(threading.Event().wait)


class WorksForever(Application):
    """Its streams wait for a thread that cannot be interrupted, as one that parses a file."""

    def __init__(self) -> None:
        super().__init__()
        self.generate = WorkingGenerate(self.diary)


class WorkingGenerate(SlowGenerate):
    """Streams one piece, and never another."""

    async def Generate(self, request, context):  # noqa: N802
        work = asyncio.ensure_future(run_blocking(threading.Event().wait))
        yield piece("first")
        await work


APPLICATIONS = {"": Application, "loads": LoadsForever, "works": WorksForever}


def composed(settings: Settings) -> Server:
    application = APPLICATIONS[os.environ.get("FOREVER", "")]()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, application.generate.release.set)
    return Server(settings, application, Admission(settings.max_concurrent_calls), Metrics())


if __name__ == "__main__":
    settings = load(parser("serve"), sys.argv[1:]).settings
    logs.configure(settings.log_level, settings.log_format)
    run(settings, composed)
