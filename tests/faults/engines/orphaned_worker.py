"""An engine core and its worker, which hears no SIGTERM; run by a test, which is the server.

Both have what ends them among what they are given, as vLLM's have, print their pids and wait. With
the argument "starting" there is no worker yet.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

SERVER_PID = "GROUNDWIRE_SERVER_PID"


def waits() -> None:
    # Imported by what it was given. Else it is one more wait.
    sys.modules["groundwire_server.engines.vllm_ending"]._GRACE_S = 0.1  # type: ignore[attr-defined]
    print(os.getpid(), flush=True)
    time.sleep(600)


def worker(_: dict[str, str]) -> None:
    # vLLM's does so from when it has begun to shut down.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    waits()


def core(given: dict[str, str]) -> None:
    print(os.getpid(), flush=True)
    spawned = multiprocessing.get_context("spawn").Process(target=worker, args=(given,))
    spawned.start()
    spawned.join()


def starting_core(_: dict[str, str]) -> None:
    waits()


def main() -> None:
    target = starting_core if "starting" in sys.argv else core
    # Not at the top: whatever is imported there is imported by all of them.
    from groundwire_server.engines.vllm_ending import EndsWithServer

    os.environ[SERVER_PID] = str(os.getpid())
    given = {"groundwire": EndsWithServer("ends with the server")}
    # In the place of vLLM's front, which is in the server.
    multiprocessing.get_context("spawn").Process(target=target, args=(given,)).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
