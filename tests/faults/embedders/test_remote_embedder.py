"""An embedder behind the OpenAI API: what it asks, and what it makes of what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groundwire_index.errors import (
    FailedPreconditionError,
    GroundwireError,
    LimitExceededError,
    ResourceExhaustedError,
    UnavailableError,
)
from groundwire_server.components import Components, State
from groundwire_server.embedders.batcher import Batch
from groundwire_server.embedders.embedder import (
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.remote import RemoteEmbedder
from groundwire_server.embedders.weights import built_in_folder
from groundwire_server.parts import RunningEmbedder
from groundwire_server.waiting import Waiting

from tests.faults.engines.scripted_http import (
    MODEL,
    Answer,
    ScriptedHttp,
    answering,
    silent,
    streaming,
)
from tests.patience import in_time, until

KEY = "sk-hunter2"
BUSY = {"error": {"message": "too many", "code": "rate_limit"}}


def vectors(*rows: list[float], order: list[int] | None = None) -> Answer:
    """An answer with these vectors."""
    data = [{"index": at, "embedding": row} for at, row in enumerate(rows)]
    return answering(200, {"data": [data[at] for at in order] if order else data})


# What the embedder asks first.
PROBE = vectors([3.0, 4.0])


@asynccontextmanager
async def remote(
    *answers: Answer, models: Answer | None = None, **options: Any
) -> AsyncIterator[tuple[ScriptedHttp, RemoteEmbedder]]:
    """An embedder that knows its model; what it is asked from now on gets these answers."""
    async with ScriptedHttp(PROBE, *answers, models=models) as server:
        embedder = RemoteEmbedder(server.url, MODEL, api_key=KEY, **options)
        try:
            await embedder.start()
            server.requests.clear()
            yield server, embedder
        finally:
            await embedder.close()


def listing(**more: object) -> Answer:
    return answering(200, {"data": [{"id": MODEL, "owned_by": "me", **more}]})


async def embed(embedder: RemoteEmbedder, *texts: str, **options: Any) -> np.ndarray:
    return (await embedder.embed(texts, EmbedKind.PASSAGE, **options)).vectors


async def failure(embedder: RemoteEmbedder, *texts: str, **options: Any) -> GroundwireError:
    with pytest.raises(GroundwireError) as caught:
        await embed(embedder, *texts or ("one",), **options)
    return caught.value


async def test_vectors_have_unit_length_and_the_order_of_the_texts() -> None:
    async with remote(vectors([0.0, 2.0], [5.0, 0.0], order=[1, 0])) as (server, embedder):
        got = await embed(embedder, "ab", "cd")
    assert got.dtype == np.float32
    assert got.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    (sent,) = server.requests
    assert sent == {"model": MODEL, "input": ["ab", "cd"], "encoding_format": "float"}
    assert f"Authorization: Bearer {KEY}" in server.heads[-1]


async def test_it_says_what_its_vectors_are() -> None:
    async with remote(query_prefix="q: ", passage_prefix="p: ", shorter_dimensions=[1]) as (
        _,
        embedder,
    ):
        fingerprint = embedder.fingerprint
        assert (fingerprint.model, fingerprint.dimension) == (MODEL, 2)
        assert (fingerprint.query_prefix, fingerprint.passage_prefix) == ("q: ", "p: ")
        assert fingerprint.normalized
        assert list(embedder.shorter_dimensions) == [1]


async def test_prefixes_are_sent_with_the_texts() -> None:
    async with remote(PROBE, PROBE, query_prefix="q: ", passage_prefix="p: ") as (server, embedder):
        await embedder.embed(["one"], EmbedKind.QUERY)
        await embedder.embed(["one"], EmbedKind.PASSAGE)
    assert [sent["input"] for sent in server.requests] == [["q: one"], ["p: one"]]


async def test_nothing_is_asked_for_nothing() -> None:
    async with remote() as (server, embedder):
        got = await embed(embedder)
    assert got.shape == (0, 2)
    assert server.requests == []


async def test_many_texts_go_in_batches_of_bounded_size() -> None:
    sizes = [64, 64, 2]
    answers = [vectors(*[[1.0, float(at)] for at in range(size)]) for size in sizes]
    batches: list[Batch] = []
    async with remote(*answers, on_batch=batches.append) as (server, embedder):
        got = await embed(embedder, *["one"] * 130, priority=Priority.INGESTION)
    assert got.shape == (130, 2)
    assert sorted(len(sent["input"]) for sent in server.requests) == sorted(sizes)
    assert sum(batch.texts for batch in batches) == 130
    assert sum(len(batch.waited_s) for batch in batches) == 1
    assert embedder.waiting == Waiting()


async def test_whoever_waits_goes_before_what_is_stored() -> None:
    waiting = [silent] * 4
    async with remote(*waiting, PROBE) as (server, embedder):
        stored = asyncio.ensure_future(embed(embedder, *["one"] * 640, priority=Priority.INGESTION))
        await until(lambda: len(server.requests) == 4)
        assert embedder.waiting.requests == 1
        assert (await embed(embedder, "now")).shape == (1, 2)
        assert len(server.requests) == 5
        stored.cancel()
        await asyncio.wait([stored])
    assert embedder.waiting == Waiting()


@pytest.mark.parametrize(
    "answer",
    [
        answering(503, b"restarting"),
        answering(429, BUSY, {"Retry-After": "0"}),
        streaming(cut=True),
    ],
)
async def test_what_may_pass_is_tried_again(answer: Answer) -> None:
    async with remote(answer, answer, vectors([0.0, 1.0])) as (server, embedder):
        assert (await embed(embedder, "one")).tolist() == [[0.0, 1.0]]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (answering(401, {"error": f"bad {KEY}"}), FailedPreconditionError, "embedder_api_key"),
        (answering(404, {"error": "no such"}), FailedPreconditionError, "embedder_model"),
        (answering(400, {"error": {"message": "bad"}}), GroundwireError, "bad"),
        (
            answering(400, {"error": {"message": "maximum context length is 5"}}),
            LimitExceededError,
            "context",
        ),
        (
            answering(429, {"error": {"message": "pay", "code": "insufficient_quota"}}),
            ResourceExhaustedError,
            "pay",
        ),
    ],
)
async def test_what_does_not_pass_is_said_by_its_setting(
    answer: Answer, kind: type[GroundwireError], words: str
) -> None:
    async with remote(answer) as (_, embedder):
        error = await failure(embedder)
    assert isinstance(error, kind)
    assert words in error.message
    assert KEY not in error.message


@pytest.mark.parametrize(
    "answer",
    [
        answering(200, b"<html>"),
        answering(200, {}),
        answering(200, [1]),
        answering(200, {"data": None}),
        answering(200, {"data": [{"index": 0}]}),
        answering(200, {"data": [{"index": 0, "embedding": ["a", "b"]}]}),
        answering(200, {"data": [{"index": 0, "embedding": "AAAA"}]}),
        vectors(),
        vectors([1.0, 0.0], [0.0, 1.0]),
        vectors([1.0, 0.0, 0.0]),
        vectors([0.0, 0.0]),
        vectors([float("nan"), 1.0]),
        vectors([float("inf"), 1.0]),
        answering(200, {"data": [{"index": 7, "embedding": [1.0, 0.0]}]}),
    ],
)
async def test_an_answer_that_is_none_is_not_stored(answer: Answer) -> None:
    async with remote(answer) as (_, embedder):
        error = await failure(embedder)
    assert isinstance(error, UnavailableError)
    assert error.reason == "REMOTE_PROTOCOL"


async def test_an_answer_that_never_comes_is_given_up() -> None:
    async with remote(silent, silence_s=0.05) as (_, embedder):
        error = await failure(embedder)
    assert isinstance(error, UnavailableError)
    assert "embedder_silence_s" in error.message


async def test_a_caller_that_leaves_drops_its_request() -> None:
    async with remote(silent) as (server, embedder):
        asked = asyncio.ensure_future(embed(embedder, "one"))
        await until(lambda: bool(server.requests))
        asked.cancel()
        await in_time(server.left.wait())
        assert asked.cancelled()


async def test_a_batch_that_fails_fails_the_call_and_no_other_one() -> None:
    failing = answering(400, {"error": {"message": "bad"}})
    async with remote(failing, silent, vectors([0.0, 1.0])) as (_, embedder):
        await failure(embedder, *["one"] * 65)
        assert (await embed(embedder, "one")).tolist() == [[0.0, 1.0]]


class TestStarting:
    async def test_it_starts_without_its_server_and_works_as_soon_as_it_is_there(self) -> None:
        down = answering(503, b"restarting")
        async with ScriptedHttp(PROBE, vectors([0.0, 1.0]), models=down) as server:
            embedder = RemoteEmbedder(server.url, MODEL)
            components = Components([RunningEmbedder(embedder)])
            await components.start()
            await components.check()
            assert components.condition_of("embedder").state is State.FAILED
            assert isinstance(await failure(embedder), UnavailableError)
            server.models = listing()
            await components.check()
            assert components.condition_of("embedder").state is State.READY
            assert (await embed(embedder, "one")).shape == (1, 2)
            await components.close()
            assert isinstance(await failure(embedder), UnavailableError)

    async def test_a_model_that_is_loaded_at_first_may_take_longer_than_a_check(self) -> None:
        loaded = asyncio.Event()

        async def loading(writer: asyncio.StreamWriter) -> None:
            await loaded.wait()
            await PROBE(writer)

        down = answering(503, b"restarting")
        async with ScriptedHttp(loading, vectors([0.0, 1.0]), models=down) as server:
            embedder = RemoteEmbedder(server.url, MODEL)
            await embedder.start()
            server.models = listing()
            for _ in range(2):
                check = asyncio.ensure_future(embedder.check())
                await until(lambda: bool(server.requests))
                check.cancel()
                await asyncio.wait([check])
            assert not server.left.is_set()
            loaded.set()
            await embedder.check()
            assert len(server.requests) == 1
            assert (await embed(embedder, "one")).shape == (1, 2)
            await embedder.close()

    async def test_it_is_closed_while_its_model_is_loaded(self) -> None:
        down = answering(503, b"restarting")
        async with ScriptedHttp(silent, models=down) as server:
            embedder = RemoteEmbedder(server.url, MODEL)
            await embedder.start()
            server.models = listing()
            check = asyncio.ensure_future(embedder.check())
            await until(lambda: bool(server.requests))
            check.cancel()
            await embedder.close()
            await in_time(server.left.wait())

    async def test_its_servers_death_is_noticed(self) -> None:
        async with remote() as (server, embedder):
            await embedder.check()
            server.models = answering(503, b"going")
            with pytest.raises(UnavailableError):
                await embedder.check()

    @pytest.mark.parametrize(
        ("models", "words"),
        [
            (answering(200, {"data": [{"id": "other"}]}), 'has no model "remote"; it has "other"'),
            (answering(401, {}), "embedder_api_key"),
            (answering(404, {}), "embedder_url"),
        ],
    )
    async def test_what_waiting_cannot_mend_keeps_it_from_starting(
        self, models: Answer, words: str
    ) -> None:
        with pytest.raises(FailedPreconditionError, match=words):
            async with remote(models=models):
                pass

    async def test_lengths_that_are_not_shorter_are_refused(self) -> None:
        with pytest.raises(FailedPreconditionError, match="embedder_dimensions"):
            async with remote(shorter_dimensions=[2]):
                pass

    @pytest.mark.parametrize("content", [None, "{}"])
    async def test_a_tokenizer_that_is_none_is_refused(
        self, tmp_path: Path, content: str | None
    ) -> None:
        if content is not None:
            (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(FailedPreconditionError, match="embedder_tokenizer"):
            async with remote(tokenizer=str(tmp_path)):
                pass


class TestLongTexts:
    LONG = "the dome opens at dusk " * 40

    async def test_with_its_tokenizer_a_text_is_cut_after_what_the_model_reads(self) -> None:
        async with remote(PROBE, max_tokens=12, tokenizer=str(built_in_folder())) as (
            server,
            embedder,
        ):
            got = await embedder.embed([self.LONG], EmbedKind.PASSAGE)
            assert server.requests[0]["input"] == ["the dome opens at dusk the dome opens at dusk"]
            assert (got.token_counts, got.truncated) == ((12,), (True,))
            assert embedder.count_tokens(["the dome", ""]) == [2, 0]

    async def test_with_its_tokenizer_a_text_that_must_not_be_cut_is_refused(self) -> None:
        async with remote(max_tokens=12, tokenizer=str(built_in_folder())) as (server, embedder):
            error = await failure(embedder, "short", self.LONG, truncation=Truncation.NONE)
        assert isinstance(error, TextTooLongError)
        assert (error.position, error.tokens) == (1, 202)
        assert server.requests == []

    async def test_without_it_a_text_is_cut_where_it_surely_fits(self) -> None:
        async with remote(PROBE, max_tokens=12) as (server, embedder):
            got = await embedder.embed(["望" * 99], EmbedKind.PASSAGE)
        assert server.requests[0]["input"] == ["望" * 10]
        assert (got.token_counts, got.truncated) == ((12,), (True,))

    async def test_without_it_the_server_decides_what_is_too_long(self) -> None:
        async with remote(PROBE, max_tokens=12) as (server, embedder):
            got = await embedder.embed([self.LONG], EmbedKind.PASSAGE, truncation=Truncation.NONE)
        assert server.requests[0]["input"] == [self.LONG]
        assert got.truncated == (False,)

    async def test_vllm_counts_and_cuts_itself(self) -> None:
        models = answering(200, {"data": [{"id": MODEL, "owned_by": "vllm", "max_model_len": 12}]})
        counted = answering(200, {"count": 13})
        async with remote(counted, PROBE, counted, models=models) as (server, embedder):
            assert embedder.max_tokens == 12
            got = await embedder.embed([self.LONG], EmbedKind.PASSAGE)
            assert (got.token_counts, got.truncated) == ((12,), (True,))
            assert server.requests[1]["input"] == [self.LONG]
            assert server.requests[1]["truncate_prompt_tokens"] == -1
            error = await failure(embedder, self.LONG, truncation=Truncation.NONE)
            assert isinstance(error, TextTooLongError)
            assert error.tokens == 13
