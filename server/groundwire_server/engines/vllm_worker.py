"""Imported by vLLM's worker process: ends it, and the engine core, when the server has gone.

vLLM's engine core waits for requests for ever, also from a server that was killed. Its own
means stop there, so this rides on ``worker_extension_cls``, a class that vLLM mixes into its
worker.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading

SERVER_PID = "GROUNDWIRE_SERVER_PID"


class EndsWithServer:
    """Nothing but a reason for vLLM to import this module."""


def _watch(server_pid: int) -> None:
    try:
        server = os.pidfd_open(server_pid)
    except ProcessLookupError:
        pass
    else:
        poll = select.poll()
        poll.register(server, select.POLLIN)
        # Readable once the process has exited.
        poll.poll()
    # With one GPU the worker lives in the engine core; else the core is its parent.
    core = multiprocessing.parent_process()
    if core is not None and core.pid not in (None, server_pid):
        _terminate(core.pid)
    _terminate(os.getpid())


def _terminate(pid: int | None) -> None:
    if pid is not None:
        os.kill(pid, signal.SIGTERM)


if SERVER_PID in os.environ:
    threading.Thread(
        target=_watch, args=(int(os.environ[SERVER_PID]),), name="ends-with-server", daemon=True
    ).start()
