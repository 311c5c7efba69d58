"""One answer from beginning to end: prepare, generate, check, store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

from groundwire_server.engines.engine import (
    ChoiceEnd,
    EngineEvent,
    FinishReason,
    GenerationEnd,
    ReasoningPiece,
    Role,
    TextPiece,
    ToolCallPiece,
    Usage,
)
from groundwire_server.engines.fair_queue import Claim
from groundwire_server.engines.models import Candidates
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.abort import cancelled_by, was_aborted
from groundwire_server.grounding.beginning import Beginning, begun
from groundwire_server.grounding.events import (
    AnswerEvent,
    Finished,
    Passage,
    Sources,
    Started,
    StoreOutcome,
)
from groundwire_server.grounding.prepare import Material, Preparation
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.grounding.similarity import Similarity
from groundwire_server.grounding.stopwatch import Clock, Stopwatch
from groundwire_server.grounding.transcript import GroundedTranscript, Transcript
from groundwire_server.memory.session import Answer, NewTurn, Turn
from groundwire_server.usage.call import current_usage


class Answers:
    """Answers requests; one for the whole server."""

    def __init__(
        self,
        preparation: Preparation,
        similarity: Similarity,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """``similarity`` compares what is cited with the sources."""
        self._preparation = preparation
        self._similarity = similarity
        self._clock = clock

    async def answer(
        self,
        candidates: Candidates,
        request: AnswerRequest,
        tenant: str,
        aborted: asyncio.Event,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer; see `grounding.events` for their order.

        To be read by one task and closed explicitly: closing, cancelling and the request's
        deadline (TimeoutError) let go of the engine at any point, and nothing is stored. When
        ``aborted`` is set the answer ends with FinishReason.ABORTED.
        """
        answering = _Answering(candidates, request, self._similarity, Stopwatch(self._clock))
        async with asyncio.timeout_at(request.deadline):
            try:
                with cancelled_by(aborted):
                    # Known before there is any work.
                    candidates.first.require_room(
                        Claim(tenant, priority=request.priority, deadline=request.deadline)
                    )
                    material = await self._preparation.gather(request, tenant, answering.watch)
                    async with aclosing(answering.generated(material)) as events:
                        async for event in events:
                            yield event
            except asyncio.CancelledError:
                if not was_aborted(aborted):
                    raise
                for event in answering.aborted():
                    yield event
                return
            yield await answering.stored(material)


class _Answering:
    """What is known of one answer while it is given."""

    def __init__(
        self,
        candidates: Candidates,
        request: AnswerRequest,
        similarity: Similarity,
        watch: Stopwatch,
    ) -> None:
        self.watch = watch
        self._similarity = similarity
        self._candidates = candidates
        self._request = request
        self._started = False
        self._model = ""
        self._transcripts: dict[int, Transcript] = {}
        self._ended: list[Finished] = []
        self._end: GenerationEnd | None = None
        self._degraded: list[str] = []
        self._memory_ids: tuple[str, ...] = ()

    async def generated(self, material: Material) -> AsyncGenerator[AnswerEvent, None]:
        """Every event but the last `Finished`."""
        if material.called_before:
            async for event in self._again(material, material.called_before):
                yield event
            return
        if self._nothing_to_answer_from(material):
            self._transcripts = self._transcripts_over(())
            for event in self._start(self._candidates.first, ()):
                yield event
            for choice in self._transcripts:
                for event in self._choice_end(ChoiceEnd(FinishReason.NO_SOURCES, choice)):
                    yield event
            return
        async with begun(self._candidates, material, self.watch) as beginning:
            self._transcripts = self._transcripts_over(beginning.prepared.passages)
            self._memory_ids = tuple(one.id for one in beginning.prepared.memories)
            self._note_degraded(beginning, material)
            for event in self._start(beginning.model, beginning.prepared.passages):
                yield event
            with self._closing_transcripts():
                async for happening in beginning.events:
                    if isinstance(happening, ChoiceEnd):
                        await self._transcripts[happening.choice].settle()
                    for event in self._on(happening):
                        yield event

    async def _again(self, material: Material, answer: Turn) -> AsyncGenerator[AnswerEvent, None]:
        """The answer that is in the session, without a model.

        Results can only be given for its calls: those that a model made now would be other ones.
        """
        model = self._candidates.first
        passages = (await material.packed_for(model)).passages if material.question else ()
        self._transcripts = self._transcripts_over(passages)
        for event in self._start(model, passages):
            yield event
        with self._closing_transcripts():
            for choice, transcript in self._transcripts.items():
                for event in transcript.add(TextPiece(answer.content, 0, choice)):
                    yield event
                for at, call in enumerate(answer.tool_calls):
                    piece = ToolCallPiece(at, call.id, call.name, call.arguments, 0, choice)
                    for event in transcript.add_aside(piece):
                        yield event
                await transcript.settle()
                for event in self._choice_end(ChoiceEnd(FinishReason.TOOL_CALLS, choice)):
                    yield event

    def aborted(self) -> Iterator[AnswerEvent]:
        """What is left to say when the answer was ended from outside."""
        if not self._started:
            yield self._start_of(self._candidates.first)
        over = {finished.choice for finished in self._ended}
        running = [choice for choice in range(self._request.sampling.n) if choice not in over]
        for choice in running:
            yield from self._finish(Finished(FinishReason.ABORTED, choice=choice))
        yield self._last()

    async def stored(self, material: Material) -> Finished:
        """Store the exchange, if there is one; give the last event."""
        last = self._last()
        reasons = [*self._degraded, last.degraded_reason]
        last = replace(last, degraded_reason="; ".join(filter(None, reasons)))
        if last.finish_reason is FinishReason.ABORTED:
            # By an engine that is closed: half an answer is none.
            return last
        return replace(last, stored=await self._store(material, last.confidence))

    async def _store(self, material: Material, confidence: float | None) -> StoreOutcome | None:
        transcript = self._transcripts[0]
        calls = transcript.tool_calls
        # A call that is cut off can be neither answered nor read by a model again.
        if material.exchange is None or calls is None or not (transcript.text or calls):
            return None
        answered = NewTurn(
            Role.ASSISTANT,
            transcript.text,
            source_ids=transcript.cited_chunk_ids,
            answer=Answer(self._model, self.watch.latency_s, confidence),
            tool_calls=calls,
        )
        return await material.exchange.store(self._request.request_id, material.said, answered)

    @contextmanager
    def _closing_transcripts(self) -> Iterator[None]:
        try:
            yield
        finally:
            for transcript in self._transcripts.values():
                transcript.close()
            # Whoever leaves is not told the end, which has the model's own number.
            current_usage().completion_tokens = self._completion_tokens

    def _transcripts_over(self, passages: tuple[Passage, ...]) -> dict[int, Transcript]:
        return {
            choice: self._transcript(passages, choice) for choice in range(self._request.sampling.n)
        }

    def _transcript(self, passages: tuple[Passage, ...], choice: int) -> Transcript:
        grounding = self._request.grounding
        if grounding is None:
            return Transcript(choice)
        return GroundedTranscript(
            passages,
            self._similarity,
            require_sources=grounding.require_sources,
            choice=choice,
        )

    def _nothing_to_answer_from(self, material: Material) -> bool:
        grounding = self._request.grounding
        return grounding is not None and grounding.require_sources and not material.found

    def _note_degraded(self, beginning: Beginning, material: Material) -> None:
        prepared = beginning.prepared
        if beginning.instead_of:
            self._degraded.append(beginning.instead_of)
        if prepared.left_out:
            went_in = sum(len(passage.chunk_ids) for passage in prepared.passages)
            offered = prepared.left_out + went_in
            self._degraded.append(
                f"{prepared.left_out} of {offered} passages did not fit the prompt"
            )
        if material.known is None:
            self._degraded.append("memories could not be recalled")

    def _start(self, model: ServedModel, passages: tuple[Passage, ...]) -> Iterator[AnswerEvent]:
        yield self._start_of(model)
        if self._request.grounding is not None:
            yield Sources(passages)

    def _start_of(self, model: ServedModel) -> Started:
        self._started = True
        self._model = model.model
        return Started(self._request.request_id, model.model, model.name)

    def _on(self, event: EngineEvent) -> Iterable[AnswerEvent]:
        match event:
            case TextPiece():
                self.watch.token()
                return self._transcripts[event.choice].add(event)
            case ReasoningPiece() | ToolCallPiece():
                self.watch.token()
                return self._transcripts[event.choice].add_aside(event)
            case ChoiceEnd():
                return self._choice_end(event)
            case GenerationEnd():
                self._end = event
        return ()

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

    @property
    def _completion_tokens(self) -> int:
        """Of all choices, as far as they have come."""
        return sum(one.completion_tokens for one in self._transcripts.values())

    def _last(self) -> Finished:
        end = self._end or GenerationEnd(Usage(completion_tokens=self._completion_tokens))
        return replace(
            self._ended[-1],
            usage=end.usage,
            timings=self.watch.timings(end.queue_s),
            memory_ids=self._memory_ids,
        )
