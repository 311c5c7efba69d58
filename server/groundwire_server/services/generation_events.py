"""Events of an answer, to the wire."""

from __future__ import annotations

from groundwire.v1 import generate_service_pb2, generation_pb2

from groundwire_server.engines.engine import FinishReason, TokenLogprob, Usage
from groundwire_server.grounding.events import (
    AnswerEvent,
    CacheOutcome,
    CitationAdded,
    Finished,
    Passage,
    ReasoningDelta,
    Sources,
    Started,
    StoreOutcome,
    TextDelta,
    Timings,
    ToolCallDelta,
)
from groundwire_server.services.durations import duration_message

FINISH_REASONS: dict[FinishReason, generation_pb2.FinishReason.ValueType] = {
    FinishReason.STOP: generation_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: generation_pb2.FINISH_REASON_LENGTH,
    FinishReason.TOOL_CALLS: generation_pb2.FINISH_REASON_TOOL_CALLS,
    FinishReason.ABORTED: generation_pb2.FINISH_REASON_ABORTED,
    FinishReason.NO_SOURCES: generation_pb2.FINISH_REASON_NO_SOURCES,
}
_OUTCOMES: dict[StoreOutcome | None, generation_pb2.StoreOutcome.ValueType] = {
    None: generation_pb2.STORE_OUTCOME_UNSPECIFIED,
    StoreOutcome.STORED: generation_pb2.STORE_OUTCOME_STORED,
    StoreOutcome.CONFLICT: generation_pb2.STORE_OUTCOME_CONFLICT,
    StoreOutcome.FAILED: generation_pb2.STORE_OUTCOME_FAILED,
}
_CACHES: dict[CacheOutcome | None, generation_pb2.CacheOutcome.ValueType] = {
    None: generation_pb2.CACHE_OUTCOME_UNSPECIFIED,
    CacheOutcome.EXACT: generation_pb2.CACHE_OUTCOME_EXACT,
    CacheOutcome.SEMANTIC: generation_pb2.CACHE_OUTCOME_SEMANTIC,
    CacheOutcome.SHARED: generation_pb2.CACHE_OUTCOME_SHARED,
}


def event_message(event: AnswerEvent) -> generate_service_pb2.GenerateResponse:
    """One event as it is streamed."""
    response = generate_service_pb2.GenerateResponse
    match event:
        case TextDelta():
            return _text_message(event)
        case ReasoningDelta():
            reasoning = generate_service_pb2.ReasoningDelta(text=event.text)
            return response(reasoning_delta=reasoning, choice=event.choice)
        case ToolCallDelta():
            return response(tool_call_delta=_call_message(event), choice=event.choice)
        case CitationAdded():
            return response(citation=citation_message(event), choice=event.choice)
        case Started():
            return response(started=_started_message(event))
        case Sources():
            return response(
                sources=generate_service_pb2.Sources(passages=map(passage_message, event.passages))
            )
        case Finished():
            return response(finished=finished_message(event), choice=event.choice)


def _started_message(event: Started) -> generate_service_pb2.Started:
    return generate_service_pb2.Started(
        request_id=event.request_id, model=event.model, engine=event.engine
    )


def passage_message(passage: Passage) -> generation_pb2.Passage:
    """A passage that the answer may cite."""
    return generation_pb2.Passage(
        number=passage.number,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        title=passage.title,
        text=passage.text,
        score=passage.score,
        page=passage.page,
        headings=passage.headings,
        chunk_ids=passage.chunk_ids,
        duplicate_chunk_ids=passage.duplicate_ids,
    )


def _call_message(event: ToolCallDelta) -> generate_service_pb2.ToolCallDelta:
    return generate_service_pb2.ToolCallDelta(
        index=event.index, id=event.id, name=event.name, arguments=event.arguments
    )


def _text_message(event: TextDelta) -> generate_service_pb2.GenerateResponse:
    """Field by field, which takes a third of the time; there is one for every token."""
    message = generate_service_pb2.GenerateResponse()
    delta = message.text_delta
    delta.text = event.text
    delta.token_count = event.token_count
    if event.choice:
        message.choice = event.choice
    if event.logprobs:
        delta.logprobs.extend(map(logprob_message, event.logprobs))
    return message


def logprob_message(logprob: TokenLogprob) -> generation_pb2.TokenLogprob:
    """The log probability of a token."""
    return generation_pb2.TokenLogprob(
        token=logprob.token,
        logprob=logprob.logprob,
        alternatives=[
            generation_pb2.TokenAlternative(token=token, logprob=value)
            for token, value in logprob.alternatives
        ],
    )


def citation_message(event: CitationAdded) -> generation_pb2.Citation:
    """A citation."""
    return generation_pb2.Citation(
        source=event.source,
        answer_start=event.answer_start,
        answer_end=event.answer_end,
        source_start=event.source_start,
        source_end=event.source_end,
    )


def finished_message(event: Finished) -> generation_pb2.Finished:
    """The end of a choice."""
    return generation_pb2.Finished(
        finish_reason=FINISH_REASONS[event.finish_reason],
        usage=_usage_message(event.usage),
        timings=_timings_message(event.timings),
        confidence=event.confidence,
        degraded=bool(event.degraded_reason),
        degraded_reason=event.degraded_reason,
        stored=_OUTCOMES[event.stored],
        dropped_citations=event.dropped_citations,
        memory_ids=event.memory_ids,
        cache=_CACHES[event.cache],
    )


def _usage_message(usage: Usage) -> generation_pb2.GenerateUsage:
    return generation_pb2.GenerateUsage(
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
    )


def _timings_message(timings: Timings) -> generation_pb2.GenerateTimings:
    return generation_pb2.GenerateTimings(
        queue=duration_message(timings.queue_s),
        embed=duration_message(timings.embed_s),
        retrieve=duration_message(timings.retrieve_s),
        prefill=duration_message(timings.prefill_s),
        decode=duration_message(timings.decode_s),
    )
