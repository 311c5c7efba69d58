"""Imported by vLLM's processes as they begin: ends them when the server, or their core, has gone.

vLLM's engine core waits for requests for ever, also from a server that was killed, or for minutes
to be greeted by one that was killed while it started; and a worker whose engine core was killed
now and then stays in its own shutdown, where it hears no SIGTERM, with the memory of the next one.
vLLM's own means stop there. Its processes are given its configuration with their first step, before
they load or wait for anything; so this rides on ``additional_config``, of which vLLM reads what it
knows.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import threading
import time

SERVER_PID = "GROUNDWIRE_SERVER_PID"
# For what they do at their end, before they are killed.
_GRACE_S = 5.0
_TRY_S = 0.05
_TRIES = 1200


class EndsWithServer(str):
    """Nothing but a reason to import this module, for whoever unpickles it."""

    __slots__ = ()


def _watch(server_pid: int) -> None:
    core = _core_pid(server_pid)
    watched = [server_pid] if core is None else [server_pid, core]
    opened = {pid: _opened(pid) for pid in watched}
    here = {pid: process for pid, process in opened.items() if process is not None}
    if len(here) == len(watched):
        poll = select.poll()
        for process in here.values():
            # Readable once the process has exited.
            poll.register(process, select.POLLIN)
        poll.poll()
    here.pop(server_pid, None)
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        for process in (*here.values(), os.pidfd_open(os.getpid())):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal_number)
        time.sleep(_GRACE_S)


def _core_pid(server_pid: int) -> int | None:
    """None where the worker lives in the engine core, as with one GPU; else that is its parent."""
    # Known as soon as everything is unpickled.
    tries = iter(range(_TRIES))
    while (parent := multiprocessing.parent_process()) is None and next(tries, None) is not None:
        time.sleep(_TRY_S)
    return None if parent is None or parent.pid == server_pid else parent.pid


def _opened(pid: int) -> int | None:
    """A file descriptor of the process, or None if it has gone already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


if SERVER_PID in os.environ:
    threading.Thread(
        target=_watch, args=(int(os.environ[SERVER_PID]),), name="ends-with-server", daemon=True
    ).start()
