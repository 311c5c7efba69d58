"""One answer from beginning to end: prepare, generate, check, store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace

from groundwire_server.engines.engine import (
    Accepted,
    ChoiceEnd,
    Engine,
    EngineEvent,
    FinishReason,
    GenerationEnd,
    TextPiece,
    Usage,
)
from groundwire_server.grounding.abort import cancelled_by, was_aborted
from groundwire_server.grounding.events import (
    AnswerEvent,
    Finished,
    Sources,
    Started,
    StoreOutcome,
)
from groundwire_server.grounding.prepare import Preparation, Prepared
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.grounding.stopwatch import Clock, Stopwatch
from groundwire_server.grounding.transcript import GroundedTranscript, Transcript


class Answers:
    """Answers requests; one for the whole server."""

    def __init__(self, preparation: Preparation, *, clock: Clock = time.monotonic) -> None:
        self._preparation = preparation
        self._clock = clock

    async def answer(
        self, engine: Engine, request: AnswerRequest, tenant: str, aborted: asyncio.Event
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer; see `grounding.events` for their order.

        To be read by one task and closed explicitly: closing, cancelling and the request's
        deadline (TimeoutError) let go of the engine at any point, and nothing is stored. When
        ``aborted`` is set the answer ends with FinishReason.ABORTED.
        """
        answering = _Answering(engine, request, Stopwatch(self._clock))
        async with asyncio.timeout_at(request.deadline):
            try:
                with cancelled_by(aborted):
                    prepared = await self._preparation.prepare(
                        engine, request, tenant, answering.watch
                    )
                    async with aclosing(answering.generated(prepared)) as events:
                        async for event in events:
                            yield event
            except asyncio.CancelledError:
                if not was_aborted(aborted):
                    raise
                for event in answering.aborted():
                    yield event
                return
            yield await answering.stored(prepared)


class _Answering:
    """What is known of one answer while it is given."""

    def __init__(self, engine: Engine, request: AnswerRequest, watch: Stopwatch) -> None:
        self.watch = watch
        self._engine = engine
        self._request = request
        self._started = False
        self._transcripts: dict[int, Transcript] = {}
        self._ended: list[Finished] = []
        self._end: GenerationEnd | None = None

    async def generated(self, prepared: Prepared) -> AsyncGenerator[AnswerEvent, None]:
        """Every event but the last `Finished`."""
        self._transcripts = {
            choice: self._transcript(prepared, choice) for choice in range(self._request.sampling.n)
        }
        if self._nothing_to_answer_from(prepared):
            for event in self._start(prepared):
                yield event
            for choice in self._transcripts:
                for event in self._choice_end(ChoiceEnd(FinishReason.NO_SOURCES, choice)):
                    yield event
            return
        self.watch.engine_started()
        async with aclosing(self._engine.generate(prepared.engine_request)) as happenings:
            async for happening in happenings:
                for event in self._on(happening, prepared):
                    yield event

    def aborted(self) -> Iterator[AnswerEvent]:
        """What is left to say when the answer was ended from outside."""
        yield from self._start(None)
        over = {finished.choice for finished in self._ended}
        running = [choice for choice in range(self._request.sampling.n) if choice not in over]
        for choice in running:
            yield from self._finish(Finished(FinishReason.ABORTED, choice=choice))
        yield self._last()

    async def stored(self, prepared: Prepared) -> Finished:
        """Store the exchange, if there is one; give the last event."""
        last = self._last()
        if prepared.left_out:
            went_in = sum(len(passage.chunk_ids) for passage in prepared.passages)
            offered = prepared.left_out + went_in
            reason = f"{prepared.left_out} of {offered} passages did not fit the prompt"
            last = replace(last, degraded_reason=reason)
        return replace(last, stored=await self._store(prepared))

    async def _store(self, prepared: Prepared) -> StoreOutcome | None:
        transcript = self._transcripts[0]
        if prepared.exchange is None or not transcript.text:
            return None
        return await prepared.exchange.store(
            self._request.request_id,
            prepared.question,
            transcript.text,
            transcript.cited_chunk_ids,
        )

    def _transcript(self, prepared: Prepared, choice: int) -> Transcript:
        grounding = self._request.grounding
        if grounding is None:
            return Transcript(choice)
        return GroundedTranscript(
            prepared.passages, require_sources=grounding.require_sources, choice=choice
        )

    def _nothing_to_answer_from(self, prepared: Prepared) -> bool:
        grounding = self._request.grounding
        return grounding is not None and grounding.require_sources and not prepared.passages

    def _start(self, prepared: Prepared | None) -> Iterator[AnswerEvent]:
        if self._started:
            return
        self._started = True
        yield Started(self._request.request_id, self._engine.model, self._engine.name)
        if prepared and self._request.grounding is not None:
            yield Sources(prepared.passages)

    def _on(self, event: EngineEvent, prepared: Prepared) -> Iterator[AnswerEvent]:
        match event:
            case Accepted():
                yield from self._start(prepared)
            case TextPiece():
                self.watch.token()
                yield from self._transcripts[event.choice].add(event)
            case ChoiceEnd():
                yield from self._choice_end(event)
            case GenerationEnd():
                self._end = event

    def _choice_end(self, event: ChoiceEnd) -> Iterator[AnswerEvent]:
        for out in self._transcripts[event.choice].end(event.finish_reason):
            if isinstance(out, Finished):
                yield from self._finish(out)
            else:
                yield out

    def _finish(self, finished: Finished) -> Iterator[AnswerEvent]:
        """Keep the end of the last choice back, for usage and timings."""
        self._ended.append(finished)
        if len(self._ended) < self._request.sampling.n:
            yield finished

    def _last(self) -> Finished:
        end = self._end or GenerationEnd(
            Usage(completion_tokens=sum(t.completion_tokens for t in self._transcripts.values()))
        )
        return replace(self._ended[-1], usage=end.usage, timings=self.watch.timings(end.queue_s))
