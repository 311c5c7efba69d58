"""An engine core and its worker, which hears no SIGTERM; run by a test, which is the server.

Both print their pids and wait.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time


def worker() -> None:
    # vLLM's does so from when it has begun to shut down.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from groundwire_server.engines import vllm_worker

    # Else it is one more wait.
    vllm_worker._GRACE_S = 0.1
    print(os.getpid(), flush=True)
    time.sleep(600)


def core() -> None:
    print(os.getpid(), flush=True)
    spawned = multiprocessing.get_context("spawn").Process(target=worker)
    spawned.start()
    spawned.join()


def main() -> None:
    # In the place of vLLM's front, which is in the server.
    multiprocessing.get_context("spawn").Process(target=core).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
