"""One vLLM: an AsyncLLM here and its engine core in a process of its own, from start to end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from multiprocessing.process import BaseProcess
from typing import Any

from groundwire_server.blocking import run_blocking
from groundwire_server.engines.vllm_start import (
    VLLM_SETTINGS,
    SettingNames,
    clean_up,
    core_processes,
    start_vllm,
)

# The engine core gets so long to let go of its memory before it is killed.
_SHUTDOWN_S = 15.0
# How often a start that was cut off is looked at, until it has given up.
_STOP_PERIOD_S = 0.2
# vLLM measures how much memory is free while it starts, and is told of its environment through
# that of this process.
_one_starts = asyncio.Lock()


class VllmProcess:
    """Started once. Whoever uses it lets go of the AsyncLLM before `close`."""

    def __init__(self, named: SettingNames = VLLM_SETTINGS) -> None:
        """``named`` are the settings of model and arguments, for errors."""
        self._named = named
        self._starting: asyncio.Future[Any] | None = None
        self._other_cores: frozenset[BaseProcess] = frozenset()
        # Known when the start has ended.
        self._cores: frozenset[BaseProcess] | None = None

    async def start(self, model: str, args: Mapping[str, Any], gpus: str = "") -> Any:
        """The AsyncLLM, on GPUs of these numbers. Raises FailedPreconditionError if there is none.

        One starts at a time.
        """
        async with _one_starts:
            self._other_cores = core_processes()
            starting = run_blocking(start_vllm, model, args, gpus, self._named)
            self._starting = asyncio.ensure_future(starting)
            try:
                # Cancelled, this leaves the thread that loads to `close`.
                return await asyncio.shield(self._starting)
            finally:
                if self._starting.done():
                    self._cores = self._own_cores()

    async def close(self, running: Collection[str]) -> None:
        """Stop, ending what still runs. Idempotent; also after a start that was cut off."""
        starting, self._starting = self._starting, None
        if starting is None:
            return
        while not starting.done():
            for process in self._own_cores():
                process.terminate()
            await asyncio.wait({starting}, timeout=_STOP_PERIOD_S)
        # A start that failed has told whoever waited for it.
        if starting.exception() is None:
            vllm = starting.result()
            await vllm.abort(list(running))
            if vllm.output_handler is not None:
                # Else it takes the end of the engine core for its death.
                vllm.output_handler.cancel()
            await run_blocking(vllm.shutdown, _SHUTDOWN_S)
        vllm = None
        del starting
        await run_blocking(clean_up, self._own_cores(), _SHUTDOWN_S)

    def _own_cores(self) -> frozenset[BaseProcess]:
        """The processes that it started, or, while it starts, all that were not there before."""
        return core_processes() - self._other_cores if self._cores is None else self._cores
