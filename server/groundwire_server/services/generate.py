"""GenerateService: text from a model, free or grounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

from groundwire.v1 import generate_service_pb2, generate_service_pb2_grpc
from groundwire_index.errors import InvalidArgumentError

from groundwire_server.deadline import is_past_deadline
from groundwire_server.engines.engine import Engine
from groundwire_server.engines.registry import Engines
from groundwire_server.grounding.answer import Answers
from groundwire_server.grounding.events import AnswerEvent
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.identity import current_identity
from groundwire_server.interceptors.method import Context
from groundwire_server.observability.generation import GenerationMetrics
from groundwire_server.running import RunningRequests
from groundwire_server.services.coalesce import coalesced
from groundwire_server.services.generation_events import Gathered, event_message
from groundwire_server.services.generation_messages import messages_of
from groundwire_server.services.generation_requests import answer_request_of
from groundwire_server.services.validate import MAX_TEXT_BYTES, require_bytes
from groundwire_server.services.violations import within

# gRPC ends a call at its deadline by itself; what it has not ended so much later ends here.
_DEADLINE_SLACK_S = 0.05


class GenerateService(generate_service_pb2_grpc.GenerateServiceServicer):
    """Answers with the engine that a request names."""

    def __init__(
        self,
        engines: Engines,
        answers: Answers,
        running: RunningRequests,
        metrics: GenerationMetrics,
        *,
        reader_patience_s: float,
    ) -> None:
        self._engines = engines
        self._answers = answers
        self._running = running
        self._metrics = metrics
        self._reader_patience_s = reader_patience_s
        for engine in engines:
            metrics.expect(engine.model)

    async def Generate(
        self, request: generate_service_pb2.GenerateRequest, context: Context
    ) -> AsyncGenerator[generate_service_pb2.GenerateResponse, None]:
        """Stream one answer as typed events."""
        asked = answer_request_of(request)
        engine = self._engines.get(request.model)
        with self._answering(engine, asked, context) as answer:
            joined = coalesced(answer, patience_s=self._reader_patience_s)
            async with aclosing(joined) as events:
                async for event in events:
                    yield event_message(event)

    async def Complete(
        self, request: generate_service_pb2.CompleteRequest, context: Context
    ) -> generate_service_pb2.CompleteResponse:
        """Give one answer as one message."""
        gathered = Gathered()
        with within("request"):
            asked = answer_request_of(request.request)
            engine = self._engines.get(request.request.model)
            with self._answering(engine, asked, context) as answer:
                async with aclosing(answer):
                    async for event in answer:
                        gathered.add(event)
        return gathered.message()

    async def CountTokens(
        self, request: generate_service_pb2.CountTokensRequest, context: Context
    ) -> generate_service_pb2.CountTokensResponse:
        """Count tokens by the model's own tokenizer."""
        match request.WhichOneof("input"):
            case "text":
                require_bytes(request.text, "text", max_bytes=MAX_TEXT_BYTES)
                engine = self._engines.get(request.model)
                count = await engine.count_tokens(request.text)
            case "chat":
                messages = messages_of(request.chat.messages, "chat.messages")
                engine = self._engines.get(request.model)
                count = await engine.count_tokens(messages)
            case _:
                raise InvalidArgumentError("input", "set text or chat")
        return generate_service_pb2.CountTokensResponse(
            token_count=count, model=engine.model, context_length=engine.context_length
        )

    @contextmanager
    def _answering(
        self, engine: Engine, asked: AnswerRequest, context: Context
    ) -> Iterator[AsyncGenerator[AnswerEvent, None]]:
        """The events of an answer, which can be aborted while they are read."""
        tenant = current_identity.get().tenant
        remaining = context.time_remaining()
        if remaining is not None:
            deadline = asyncio.get_running_loop().time() + remaining + _DEADLINE_SLACK_S
            asked = replace(asked, deadline=deadline)
        with self._running.register(asked.request_id, tenant) as aborted:
            answer = self._answers.answer(engine, asked, tenant, aborted)
            yield self._metrics.observed(
                answer, engine.model, is_late=lambda: is_past_deadline(context)
            )
