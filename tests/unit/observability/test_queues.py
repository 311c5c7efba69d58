"""What the metrics say of a queue."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_index.errors import ResourceExhaustedError
from groundwire_server.engines.fair_queue import Claim, FairQueue, Limits
from groundwire_server.observability.queues import ModelQueues
from prometheus_client import CollectorRegistry


async def test_a_queue_is_reported_as_it_is_now() -> None:
    queue = FairQueue("small", Limits(running=1, queued=1, queued_tokens=1000))
    registry = CollectorRegistry()
    registry.register(ModelQueues([queue]))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"groundwire_model_{name}", {"model": "small", **labels})

    async def use() -> None:
        async with queue.turn(Claim("a", tokens=7)):
            pass

    async with queue.turn(Claim("a", tokens=5)):
        waiting = asyncio.create_task(use())
        await asyncio.sleep(0)
        assert value("running_requests") == 1
        assert value("waiting_requests") == 1
        assert value("waiting_tokens") == 7
        assert value("refusals_total", reason="QUEUE_FULL") == 0
        with pytest.raises(ResourceExhaustedError):
            await use()
    await waiting
    assert value("running_requests") == value("waiting_requests") == 0
    assert value("refusals_total", reason="QUEUE_FULL") == 1
    assert value("refusals_total", reason="DEADLINE_OUT_OF_REACH") == 0
