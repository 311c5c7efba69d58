"""GenerateService: text from a model, free or grounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import replace

from groundwire.v1 import generate_service_pb2, generate_service_pb2_grpc

from groundwire_server.deadline import is_past_deadline
from groundwire_server.engines.models import Candidates, Models
from groundwire_server.grounding.answering import Answering
from groundwire_server.grounding.events import AnswerEvent
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.identity import ANYBODY, current_identity
from groundwire_server.interceptors.method import Context
from groundwire_server.observability.answer_span import AnswerSpan
from groundwire_server.observability.answer_usage import AnswerUsage
from groundwire_server.observability.answers import observed
from groundwire_server.observability.generation import GenerationMetrics
from groundwire_server.running import RunningRequests
from groundwire_server.services.coalesce import coalesced
from groundwire_server.services.generation_counting import counted_of
from groundwire_server.services.generation_events import event_message
from groundwire_server.services.generation_gathered import Gathered
from groundwire_server.services.generation_requests import answer_request_of
from groundwire_server.services.left_answers import DroppedAnswers, FirstToken
from groundwire_server.services.violations import within
from groundwire_server.usage.call import current_usage

# gRPC ends a call at its deadline by itself; what it has not ended so much later ends here.
_DEADLINE_SLACK_S = 0.05


class GenerateService(generate_service_pb2_grpc.GenerateServiceServicer):
    """Answers with the model that a request names, or with what stands in for it."""

    def __init__(
        self,
        models: Models,
        answers: Answering,
        running: RunningRequests,
        metrics: GenerationMetrics,
        *,
        reader_patience_s: float,
        left: DroppedAnswers | None = None,
    ) -> None:
        """``left`` decides on answers in sessions whose clients go away after the first token."""
        self._models = models
        self._answers = answers
        self._running = running
        self._metrics = metrics
        self._reader_patience_s = reader_patience_s
        self._left = left or DroppedAnswers()
        for model in models:
            metrics.expect(model.model)

    async def Generate(
        self, request: generate_service_pb2.GenerateRequest, context: Context
    ) -> AsyncGenerator[generate_service_pb2.GenerateResponse, None]:
        """Stream one answer as typed events."""
        asked = answer_request_of(request)
        candidates = self._candidates(request.model, asked)
        with self._answering(candidates, asked, context, joined=True) as answer:
            async with aclosing(answer):
                async for event in answer:
                    yield event_message(event)

    async def Complete(
        self, request: generate_service_pb2.CompleteRequest, context: Context
    ) -> generate_service_pb2.CompleteResponse:
        """Give one answer as one message."""
        gathered = Gathered()
        with within("request"):
            asked = answer_request_of(request.request)
            candidates = self._candidates(request.request.model, asked)
            in_session = bool(asked.session_id)
            with self._answering(candidates, asked, context, joined=in_session) as answer:
                async with aclosing(answer):
                    async for event in answer:
                        gathered.add(event)
        return gathered.message()

    async def CountTokens(
        self, request: generate_service_pb2.CountTokensRequest, context: Context
    ) -> generate_service_pb2.CountTokensResponse:
        """Count tokens by the model's own tokenizer."""
        content, template = counted_of(request)
        model = self._models.get(request.model)
        count = await model.count_tokens(content, template)
        return generate_service_pb2.CountTokensResponse(
            token_count=count, model=model.model, context_length=model.context_length
        )

    def _candidates(self, model: str, asked: AnswerRequest) -> Candidates:
        """The models for a request: in the same order for all of a session, or of a subject."""
        caller = current_identity.get()
        subject = "" if caller.subject == ANYBODY else caller.subject
        key = asked.session_id or subject or asked.request_id
        return self._models.route(model).candidates(f"{caller.tenant}\0{key}")

    @contextmanager
    def _answering(
        self, candidates: Candidates, asked: AnswerRequest, context: Context, *, joined: bool
    ) -> Iterator[AsyncGenerator[AnswerEvent, None]]:
        """The events of an answer, which can be aborted while it is given.

        Those that are ``joined`` may go on after the client has gone.
        """
        tenant = current_identity.get().tenant
        remaining = context.time_remaining()
        if remaining is not None:
            deadline = asyncio.get_running_loop().time() + remaining + _DEADLINE_SLACK_S
            asked = replace(asked, deadline=deadline)
        with ExitStack() as held:
            aborted = held.enter_context(self._running.register(asked.request_id, tenant))
            used = held.enter_context(current_usage().going_on())
            model, begun = candidates.first.model, FirstToken()
            answer = observed(
                self._answers.answer(candidates, asked, tenant, aborted),
                (
                    self._metrics.answer(model),
                    AnswerSpan(asked, model),
                    AnswerUsage(used, model),
                    begun,
                ),
                is_late=lambda: is_past_deadline(context),
            )

            def is_kept(reader: asyncio.Task[None]) -> bool:
                wanted = asked.session_id and begun.has_come and not is_past_deadline(context)
                return bool(wanted) and self._left.take(reader, held)

            yield (
                coalesced(answer, patience_s=self._reader_patience_s, is_kept=is_kept)
                if joined
                else answer
            )
