"""What the metrics say of how a model stands."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_server.engines.breaker import Breaker
from groundwire_server.engines.engine import EngineRequest
from groundwire_server.engines.fair_queue import Claim, Limits
from groundwire_server.engines.served_model import ServedModel, Targets
from groundwire_server.observability.models import ModelReadings
from prometheus_client import CollectorRegistry

from tests.unit.grounding.scripted_engine import ScriptedEngine, saying


class Reported:
    def __init__(self, *models: ServedModel) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(ModelReadings(models))

    def value(self, name: str, **labels: str) -> float | None:
        labels.setdefault("model", "scripted")
        return self._registry.get_sample_value(f"groundwire_model_{name}", labels)


async def test_a_queue_is_reported_as_it_is_now() -> None:
    limits = Limits(running=1, queued=1, queued_tokens=1000)
    served = ServedModel(ScriptedEngine(saying("So")), limits)
    value = Reported(served).value

    async def use() -> None:
        async with served.queue.turn(Claim("a", tokens=7)):
            pass

    async with served.queue.turn(Claim("a", tokens=5)):
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


async def test_the_breaker_is_in_one_of_its_states() -> None:
    now = 0.0
    breaker = Breaker("scripted", failures=1, open_s=5, now=lambda: now)
    engine = ScriptedEngine([UnavailableError("dead", reason="ENGINE_DEAD")])
    served = ServedModel(engine, breaker=breaker)
    value = Reported(served).value

    def states() -> list[float | None]:
        return [value("breaker", state=state) for state in ("closed", "open", "half_open")]

    assert states() == [1, 0, 0]
    with pytest.raises(UnavailableError):
        await anext(served.generate(EngineRequest("one", prompt="Why?")))
    assert states() == [0, 1, 0]
    now = 6.0
    assert states() == [0, 0, 1]


async def test_targets_are_reported_where_there_are_any() -> None:
    engine, other = ScriptedEngine(saying("So")), ScriptedEngine(saying("So"), model="other")
    targets = Targets(latency_s=0.5, throughput=60)
    value = Reported(ServedModel(engine, targets=targets), ServedModel(other)).value
    assert value("latency_target_seconds") == 0.5
    assert value("throughput_target") == 60
    assert value("latency_target_seconds", model="other") is None
    assert value("running_requests", model="other") == 0
