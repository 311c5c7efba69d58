"""Whoever leaves, leaves nothing behind in vLLM: neither in its front nor in its scheduler.

The engine core is stopped while a generation ends, so that it is where the test wants it, and to
show that nobody waits for the core.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generation_pb2 import SamplingParameters
from groundwire_server.engines.fair_queue import Limits
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.engines.vllm_start import core_processes
from groundwire_server.waiting import Waiting

from tests.e2e.generate.leaving import WAYS, call_to_end, has_begun
from tests.e2e.generate.serving import Serve, Serving
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.vllm

LONG = SamplingParameters(temperature=1, seed=7, max_tokens=400, n=4)
SHORT = SamplingParameters(temperature=0, max_tokens=8)


class OneAtATime:
    """vLLM with one slot of ours before it, and its engine core in hand."""

    def __init__(self, vllm: VllmEngine) -> None:
        self.vllm = vllm
        self.engine = ServedModel(vllm, Limits(1, 10, 100_000))
        (core,) = core_processes()
        assert core.pid is not None
        self._core = core.pid

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The engine core does nothing meanwhile."""
        os.kill(self._core, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._core, signal.SIGCONT)

    @property
    def in_front(self) -> int:
        """Requests that vLLM's front knows of."""
        return self.vllm._vllm.output_processor.get_num_unfinished_requests()

    async def holds_nothing(self) -> bool:
        """Whether vLLM's scheduler holds no memory for any request."""
        return await self.vllm._vllm.reset_prefix_cache()


@pytest.fixture
def one(engine: VllmEngine) -> OneAtATime:
    return OneAtATime(engine)


def kinds_of_tasks() -> Counter[str]:
    """How many tasks there are of each kind: gRPC waits for each call in a new one."""
    return Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks())


async def is_as_new(one: OneAtATime, serving: Serving) -> None:
    """Nothing is left of what was asked, and the next one is answered."""
    assert one.in_front == 0
    assert one.engine.waiting == Waiting(0, 0)
    assert await one.holds_nothing()
    request = GenerateRequest(prompt="Every visitor", sampling=SHORT)
    answer = await serving.stub.Complete(CompleteRequest(request=request), timeout=PATIENCE_S)
    assert answer.finished.usage.completion_tokens > 0


@pytest.mark.parametrize("way", WAYS)
class TestLeaving:
    async def test_in_the_queue(self, serve: Serve, one: OneAtATime, way) -> None:
        long = GenerateRequest(prompt="Every visitor", sampling=LONG)
        async with serve(one.engine) as serving:
            first = serving.stub.Generate(long)
            await first.read()
            assert (await first.read()).HasField("text_delta")
            with one.stopped():

                async def is_queued(_: object) -> None:
                    await until(lambda: one.engine.waiting.requests == 1)

                short = GenerateRequest(prompt="The", sampling=SHORT)
                call = await call_to_end(serving, way, short, is_queued)
                await way(serving, call)
                await until(lambda: one.engine.waiting.requests == 0)
                # The other has its slot still.
                assert len(serving.running) == 1
                assert one.in_front > 0
                first.cancel()
                await until(lambda: not serving.running)
            await is_as_new(one, serving)

    async def test_before_the_first_token(self, serve: Serve, one: OneAtATime, way) -> None:
        async with serve(one.engine) as serving:
            with one.stopped():
                prompt = "Every visitor is asked to keep to the path. " * 10

                async def is_in_front(_: object) -> None:
                    await until(lambda: one.in_front > 0)

                long = GenerateRequest(prompt=prompt, sampling=LONG)
                call = await call_to_end(serving, way, long, is_in_front)
                await way(serving, call)
                await until(lambda: not serving.running)
                assert one.in_front == 0
            await is_as_new(one, serving)

    async def test_in_the_middle_of_an_answer(self, serve: Serve, one: OneAtATime, way) -> None:
        async with serve(one.engine) as serving:
            long = GenerateRequest(prompt="Every visitor", sampling=LONG)
            call = await call_to_end(serving, way, long, has_begun)
            with one.stopped():
                await way(serving, call)
                await until(lambda: not serving.running)
                assert one.in_front == 0
            await is_as_new(one, serving)


async def test_a_hundred_that_come_and_go_leave_nothing(serve: Serve, one: OneAtATime) -> None:
    engine = ServedModel(one.vllm, Limits(50, 50, 100_000))
    async with serve(engine) as serving:
        # vLLM's front begins to listen to its core with the first request.
        await is_as_new(one, serving)
        tasks = kinds_of_tasks()
        long = GenerateRequest(prompt="Every visitor", sampling=LONG)
        calls = [serving.stub.Generate(long) for _ in range(100)]
        await calls[0].read()
        assert not await one.holds_nothing()
        for number, call in enumerate(calls):
            # Some of them before they are heard of, some in the queue, some while they are told.
            if number % 3:
                await asyncio.sleep(0)
            call.cancel()
        await until(lambda: not serving.running and not one.in_front)
        assert engine.waiting == Waiting(0, 0)
        assert await one.holds_nothing()
        await until(lambda: kinds_of_tasks() <= tasks)
