"""How callers share the model. The model here is a thread that does as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.embedders.batcher import Batch, Batcher
from groundwire_server.embedders.embedder import EmbedKind, Priority
from groundwire_server.embedders.encoder import Tokens
from groundwire_server.waiting import Waiting
from numpy.typing import NDArray

from tests.patience import PATIENCE_S


class Model:
    """Stands still until it is let go; a vector is the length of its text, twice."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self._entered = threading.Semaphore(0)

    def encode(self, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        self.batches.append([tokens.text for tokens in batch])
        self._entered.release()
        assert self.go.wait(PATIENCE_S)
        if any(tokens.text == "poison" for tokens in batch):
            raise ValueError("this text breaks the model")
        return np.array([[len(tokens), len(tokens)] for tokens in batch], np.float32)

    async def busy(self) -> None:
        """Wait until it has taken a batch."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=PATIENCE_S)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def batcher(model: Model) -> AsyncIterator[Batcher]:
    batcher = Batcher(model.encode, dimension=2, batch_tokens=16)
    yield batcher
    model.go.set()
    await asyncio.to_thread(batcher.close)


def text(name: str, length: int = 1, kind: EmbedKind = EmbedKind.PASSAGE) -> Tokens:
    return Tokens(name, kind, [0] * length, truncated=False)


def texts(*names: str, length: int = 1) -> list[Tokens]:
    return [text(name, length) for name in names]


async def keep_busy(batcher: Batcher, model: Model) -> asyncio.Task[NDArray[np.float32]]:
    task = asyncio.create_task(batcher.run(texts("first"), Priority.INTERACTIVE))
    await model.busy()
    return task


async def started(*calls: asyncio.Task[NDArray[np.float32]]) -> None:
    """Let each call reach the queue."""
    for _ in calls:
        await asyncio.sleep(0)


async def refusing(batcher: Batcher) -> None:
    """Wait until it takes no more calls."""
    while True:
        attempt = call(batcher, texts("too late"))
        await asyncio.sleep(0)
        if attempt.done():
            assert isinstance(attempt.exception(), UnavailableError)
            return
        attempt.cancel()
        await asyncio.wait({attempt})


def call(
    batcher: Batcher, each: Sequence[Tokens], priority: Priority = Priority.INGESTION
) -> asyncio.Task[NDArray[np.float32]]:
    return asyncio.create_task(batcher.run(each, priority))


async def test_an_idle_model_begins_at_once(batcher: Batcher, model: Model) -> None:
    model.go.set()

    vectors = await batcher.run(texts("alone", length=3), Priority.INTERACTIVE)

    assert vectors.tolist() == [[3, 3]]
    assert vectors.dtype == np.float32


async def test_vectors_come_in_the_callers_order(batcher: Batcher, model: Model) -> None:
    model.go.set()
    lengths = [5, 1, 9, 2, 7, 3]

    vectors = await batcher.run(
        [text(f"{length}", length) for length in lengths], Priority.INGESTION
    )

    assert vectors[:, 0].tolist() == lengths


async def test_callers_who_wait_together_share_a_batch(batcher: Batcher, model: Model) -> None:
    await keep_busy(batcher, model)
    waiting = [call(batcher, texts(name), Priority.INTERACTIVE) for name in "abcd"]
    await started(*waiting)

    model.go.set()
    await asyncio.gather(*waiting)

    assert [sorted(batch) for batch in model.batches[1:]] == [["a", "b", "c", "d"]]


async def test_a_batch_holds_texts_of_like_length_within_the_limit(
    batcher: Batcher, model: Model
) -> None:
    await keep_busy(batcher, model)
    lengths = [8, 2, 7, 2, 1, 2, 8, 40, 2]
    waiting = call(batcher, [text(f"{length}", length) for length in lengths])
    await started(waiting)

    model.go.set()
    await waiting

    padded = [len(batch) * max(map(int, batch)) for batch in model.batches[2:]]
    assert model.batches[1] == ["40"], "a text over the limit goes alone"
    assert max(padded) <= 16
    assert ["8", "8"] in model.batches


async def test_texts_go_by_priority_not_by_when_they_came(batcher: Batcher, model: Model) -> None:
    await keep_busy(batcher, model)
    waiting = [
        call(batcher, texts(priority.name, length=10), priority) for priority in reversed(Priority)
    ]
    await started(*waiting)

    model.go.set()
    await asyncio.gather(*waiting)

    assert model.batches[1:] == [["INTERACTIVE"], ["BULK"], ["INGESTION"]]


@pytest.mark.parametrize("waits", [Priority.BULK, Priority.INGESTION])
async def test_none_waits_for_good_however_much_goes_before_it(
    batcher: Batcher, model: Model, waits: Priority
) -> None:
    await keep_busy(batcher, model)
    calls = [call(batcher, texts("it", length=16), waits)]
    calls += [
        call(batcher, [text("other", 16)] * 40, other) for other in Priority if other is not waits
    ]
    await started(*calls)

    model.go.set()
    await asyncio.gather(*calls)

    assert model.batches.index(["it"]) <= 17


async def test_queries_and_passages_are_never_in_one_batch(batcher: Batcher, model: Model) -> None:
    await keep_busy(batcher, model)
    waiting = [
        call(batcher, [text("passage", 2)], Priority.INTERACTIVE),
        call(batcher, [text("query", 2, EmbedKind.QUERY)], Priority.INTERACTIVE),
    ]
    await started(*waiting)

    model.go.set()
    await asyncio.gather(*waiting)

    assert sorted(model.batches[1:]) == [["passage"], ["query"]]


async def test_texts_of_a_caller_who_has_gone_are_not_embedded(
    batcher: Batcher, model: Model
) -> None:
    await keep_busy(batcher, model)
    gone, stays = call(batcher, texts("gone")), call(batcher, texts("stays"))
    await started(gone, stays)
    gone.cancel()
    await asyncio.wait({gone})

    model.go.set()
    await stays

    assert model.batches[1:] == [["stays"]]


async def test_a_bulk_caller_who_goes_stops_the_batches_not_yet_begun(
    batcher: Batcher, model: Model
) -> None:
    bulk = call(batcher, texts(*"abcdef", length=16))
    await model.busy()
    bulk.cancel()
    await asyncio.wait({bulk})

    model.go.set()
    await batcher.run(texts("next"), Priority.INGESTION)

    assert len(model.batches) == 2


async def test_what_waits_is_counted_until_its_batch_begins(batcher: Batcher, model: Model) -> None:
    first = await keep_busy(batcher, model)
    assert batcher.waiting == Waiting(0, 0)
    urgent = call(batcher, texts("query", length=2), Priority.INTERACTIVE)
    bulk = call(batcher, texts(*"abc", length=5))
    gone = call(batcher, texts("gone", length=7))
    await started(urgent, bulk, gone)
    assert batcher.waiting == Waiting(3, 2 + 3 * 5 + 7)
    gone.cancel()
    await asyncio.wait({gone})
    assert batcher.waiting == Waiting(2, 2 + 3 * 5)

    model.go.set()
    await asyncio.gather(first, urgent, bulk)

    assert batcher.waiting == Waiting(0, 0)


async def test_an_error_reaches_those_in_the_batch_and_nobody_else(
    batcher: Batcher, model: Model
) -> None:
    model.go.set()

    with pytest.raises(ValueError, match="breaks the model"):
        await batcher.run(texts("poison"), Priority.INTERACTIVE)

    assert (await batcher.run(texts("well"), Priority.INTERACTIVE)).tolist() == [[1, 1]]


async def test_closing_ends_the_wait_of_those_in_the_queue(model: Model) -> None:
    batcher = Batcher(model.encode, dimension=2, batch_tokens=16)
    running = await keep_busy(batcher, model)
    waiting = call(batcher, texts("late"))
    await started(waiting)

    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    await refusing(batcher)
    model.go.set()
    await closing

    assert (await running).tolist() == [[1, 1]]
    with pytest.raises(UnavailableError):
        await waiting
    with pytest.raises(UnavailableError):
        await batcher.run(texts("later"), Priority.INTERACTIVE)


async def test_each_batch_is_told_of_once_it_is_done(model: Model) -> None:
    now = 0.0
    told: list[Batch] = []
    batcher = Batcher(
        model.encode, dimension=2, batch_tokens=16, on_batch=told.append, clock=lambda: now
    )
    first = asyncio.create_task(batcher.run(texts("a", length=10), Priority.INTERACTIVE))
    await model.busy()
    # Two calls that wait; the second fills two batches, of which only the first is waited for.
    second = asyncio.create_task(batcher.run(texts("b", length=5), Priority.INTERACTIVE))
    third = asyncio.create_task(batcher.run(texts("c", "d", length=9), Priority.BULK))
    await asyncio.sleep(0)
    now = 3.0
    model.go.set()
    await asyncio.gather(first, second, third)
    await asyncio.to_thread(batcher.close)
    assert told == [
        Batch(texts=1, tokens=10, seconds=3.0, waited_s=(0.0,)),
        Batch(texts=1, tokens=5, seconds=0.0, waited_s=(3.0,)),
        Batch(texts=1, tokens=9, seconds=0.0, waited_s=(3.0,)),
        Batch(texts=1, tokens=9, seconds=0.0, waited_s=()),
    ]


async def test_a_batch_that_failed_is_not_told_of(model: Model) -> None:
    told: list[Batch] = []
    batcher = Batcher(model.encode, dimension=2, batch_tokens=16, on_batch=told.append)
    model.go.set()
    with pytest.raises(ValueError, match="breaks"):
        await batcher.run(texts("poison"), Priority.INTERACTIVE)
    await asyncio.to_thread(batcher.close)
    assert told == []
