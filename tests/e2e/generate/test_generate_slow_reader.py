"""A reader that stops frees its engine after a while, and costs little memory until then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import GenerateRequest
from groundwire.v1.generate_service_pb2_grpc import GenerateServiceStub
from groundwire.v1.generation_pb2 import FINISH_REASON_ABORTED, SamplingParameters
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    EngineEvent,
    EngineRequest,
    TextPiece,
    TokenLogprob,
)
from groundwire_server.services.coalesce import MOST_WAITING_BYTES

from tests.e2e.generate.leaving import REQUEST_ID
from tests.e2e.generate.serving import Serve, details_of, rest_of
from tests.patience import PATIENCE_S, during, in_time, until
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

SMALL_WINDOW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384))
ALTERNATIVES = tuple((f" word{number}", -1.0 * number) for number in range(20))
# Of one token with all its alternatives, measured with tracemalloc, and rounded down.
LOGPROB_BYTES = 2_500


class Endless(ScriptedEngine):
    """Says the same for ever, to each choice in turn."""

    def __init__(self, piece: str, *, with_logprobs: bool = False) -> None:
        super().__init__([])
        self.said = 0
        self._said_before = 0
        self._piece = piece
        self._with_logprobs = with_logprobs

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        self.running += 1
        try:
            yield Accepted()
            yield Begun()
            while True:
                for choice in range(request.sampling.n):
                    self.said += 1
                    yield TextPiece(self._piece, 1, choice, self._logprobs())
                await asyncio.sleep(0)
        finally:
            self.running -= 1
            self.closed.set()

    def stands_still(self) -> bool:
        """Whether it has said something, and nothing since this was last asked."""
        before, self._said_before = self._said_before, self.said
        return 0 < before == self.said

    def _logprobs(self) -> tuple[TokenLogprob, ...]:
        if not self._with_logprobs:
            return ()
        return (TokenLogprob(self._piece, -0.5, tuple((a, float(b)) for a, b in ALTERNATIVES)),)


@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("with_logprobs", [False, True])
async def test_the_engine_is_let_go_of_and_what_waits_is_bounded(
    serve: Serve, n: int, with_logprobs: bool
) -> None:
    engine = Endless("a hundred letters or so " * 4, with_logprobs=with_logprobs)
    sampling = SamplingParameters(n=n, logprobs=20 if with_logprobs else None)
    async with (
        serve(engine, reader_patience_s=0.3) as serving,
        grpc.aio.insecure_channel(serving.address, options=SMALL_WINDOW) as channel,
    ):
        call = GenerateServiceStub(channel).Generate(
            GenerateRequest(prompt="Why?", sampling=sampling)
        )
        assert (await call.read()).HasField("started")
        await in_time(engine.closed.wait())
        assert engine.running == 0
        assert len(serving.running) == 0
        piece_bytes = 96 + with_logprobs * LOGPROB_BYTES
        assert engine.said * piece_bytes < 2 * MOST_WAITING_BYTES
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await rest_of(call)
    assert ended.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details_of(ended.value)["ErrorInfo"].reason == "SLOW_READER"  # type: ignore[attr-defined]


async def test_a_short_answer_that_is_not_read_does_not_hold_its_engine(serve: Serve) -> None:
    """All of it waits; the engine is free before the patience is over."""
    engine = ScriptedEngine(saying(*["x" * 1000] * 100))
    async with (
        serve(engine, reader_patience_s=10 * PATIENCE_S) as serving,
        grpc.aio.insecure_channel(serving.address, options=SMALL_WINDOW) as channel,
    ):
        call = GenerateServiceStub(channel).Generate(GenerateRequest(prompt="Why?"))
        assert (await call.read()).HasField("started")
        await during(call, engine.closed.wait())
        assert engine.running == 0
        call.cancel()


async def test_an_answer_aborted_while_it_is_not_read_frees_its_engine_and_says_so(
    serve: Serve,
) -> None:
    engine = Endless("a hundred letters or so " * 4)
    async with (
        # It is not for the reader that it ends.
        serve(engine, reader_patience_s=10 * PATIENCE_S) as serving,
        grpc.aio.insecure_channel(serving.address, options=SMALL_WINDOW) as channel,
    ):
        stub = GenerateServiceStub(channel)
        call = stub.Generate(GenerateRequest(prompt="Why?", request_id=REQUEST_ID))
        assert (await call.read()).HasField("started")
        await until(engine.stands_still)
        serving.running.abort("default", REQUEST_ID)
        await in_time(engine.closed.wait())
        last = (await rest_of(call))[-1]
    assert last.finished.finish_reason == FINISH_REASON_ABORTED
    assert engine.running == 0
