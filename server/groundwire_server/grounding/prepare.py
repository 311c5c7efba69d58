"""Everything before the engine: history, passages, and the prompt they are packed into."""

from __future__ import annotations

from dataclasses import dataclass, replace

from groundwire_server.engines.engine import (
    Engine,
    EngineRequest,
    GroundedQuestion,
    Message,
    Role,
    SourcePassage,
)
from groundwire_server.grounding.conversation import conversation_of
from groundwire_server.grounding.events import Passage
from groundwire_server.grounding.exchange import OpenExchange, open_exchange
from groundwire_server.grounding.pack import Packed, Packer
from groundwire_server.grounding.question import question_of
from groundwire_server.grounding.request import AnswerRequest, Grounding
from groundwire_server.grounding.retrieve import Retriever
from groundwire_server.grounding.stopwatch import Stopwatch
from groundwire_server.memory.session import Sessions


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready for its engine."""

    engine_request: EngineRequest
    question: str
    """What the user said; what a session keeps."""
    passages: tuple[Passage, ...] = ()
    left_out: int = 0
    """Chunks that did not fit the prompt."""
    exchange: OpenExchange | None = None


class Preparation:
    """Makes requests ready. What is wrong with a request shows here, before the engine works."""

    def __init__(
        self, retriever: Retriever, sessions: Sessions, *, max_tokens: int, passage_tokens: int
    ) -> None:
        """``max_tokens`` of answer are reserved for requests that do not say."""
        self._retriever = retriever
        self._sessions = sessions
        self._max_tokens = max_tokens
        self._passage_tokens = passage_tokens

    async def prepare(
        self, engine: Engine, request: AnswerRequest, tenant: str, watch: Stopwatch
    ) -> Prepared:
        """Read the session, find the passages, pack the prompt.

        Raises NotFoundError for the session before it looks at the collection, and for the
        collection before anything is embedded; LimitExceededError if the prompt cannot fit.
        """
        prepared = await self._prepared(engine, request, tenant, watch)
        engine_request = replace(prepared.engine_request, tenant=tenant, deadline=request.deadline)
        return replace(prepared, engine_request=engine_request)

    async def _prepared(
        self, engine: Engine, request: AnswerRequest, tenant: str, watch: Stopwatch
    ) -> Prepared:
        if request.grounding is None and not request.session_id:
            return _as_it_is(request)
        exchange = None
        if request.session_id:
            exchange = await open_exchange(self._sessions, tenant, request.session_id)
        packer = Packer(
            engine,
            max_tokens=request.sampling.max_tokens,
            default_tokens=self._max_tokens,
            passage_tokens=self._passage_tokens,
        )
        if request.grounding is None:
            return await self._in_session(request, packer, exchange)
        return await self._grounded(request, request.grounding, tenant, packer, exchange, watch)

    async def _in_session(
        self, request: AnswerRequest, packer: Packer, exchange: OpenExchange | None
    ) -> Prepared:
        earlier = exchange.history if exchange else ()
        conversation = conversation_of(_messages_of(request), earlier=earlier)
        packed = await packer.plain(conversation)
        return Prepared(_engine_request(request, packed), conversation.question, exchange=exchange)

    async def _grounded(
        self,
        request: AnswerRequest,
        grounding: Grounding,
        tenant: str,
        packer: Packer,
        exchange: OpenExchange | None,
        watch: Stopwatch,
    ) -> Prepared:
        earlier = exchange.history if exchange else ()
        conversation = conversation_of(_messages_of(request), earlier=earlier)
        question = question_of(conversation, grounding.query)
        collection = await self._retriever.open(tenant, grounding)
        found = await collection.passages(question.search, grounding, watch)
        packed = await packer.grounded(conversation, found)
        sources = tuple(
            SourcePassage(passage.number, passage.text, passage.title)
            for passage in packed.passages
        )
        engine_request = replace(
            _engine_request(request, packed),
            grounded=GroundedQuestion(question.asked, sources, question.subject),
        )
        return Prepared(
            engine_request, conversation.question, packed.passages, packed.left_out, exchange
        )


def _as_it_is(request: AnswerRequest) -> Prepared:
    return Prepared(
        EngineRequest(
            request.request_id,
            request.sampling,
            prompt=request.prompt,
            messages=request.messages,
            constraint=request.constraint,
            priority=request.priority,
        ),
        question="",
    )


def _messages_of(request: AnswerRequest) -> tuple[Message, ...]:
    if request.prompt is None:
        return request.messages
    return (Message(Role.USER, request.prompt),)


def _engine_request(request: AnswerRequest, packed: Packed) -> EngineRequest:
    return EngineRequest(
        request.request_id,
        replace(request.sampling, max_tokens=packed.max_tokens),
        messages=packed.messages,
        constraint=request.constraint,
        priority=request.priority,
    )
