"""Everything before the engine: history, memories, passages, and the prompt they go into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from groundwire_server.engines.engine import (
    Engine,
    EngineRequest,
    GroundedQuestion,
    Message,
    Role,
    Sampling,
    SourcePassage,
)
from groundwire_server.grounding.beside import beside
from groundwire_server.grounding.conversation import Conversation, conversation_of
from groundwire_server.grounding.events import Passage
from groundwire_server.grounding.exchange import OpenExchange, open_exchange
from groundwire_server.grounding.pack import Packed, Packer
from groundwire_server.grounding.question import Question, question_of
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.grounding.retrieve import Retriever
from groundwire_server.grounding.stopwatch import Stopwatch
from groundwire_server.memory.known import Recall, nothing, recalled
from groundwire_server.memory.memories.memory import Memory
from groundwire_server.memory.session import Sessions, Turn
from groundwire_server.memory.summaries.summary import Summary


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready for one engine."""

    engine_request: EngineRequest
    passages: tuple[Passage, ...] = ()
    left_out: int = 0
    """Chunks that did not fit the prompt."""
    memories: tuple[Memory, ...] = ()


class Preparation:
    """Makes requests ready. What is wrong with a request shows here, before an engine works."""

    def __init__(
        self,
        retriever: Retriever,
        sessions: Sessions,
        *,
        max_tokens: int,
        passage_tokens: int,
        recall: Recall = nothing,
    ) -> None:
        """``max_tokens`` of answer are reserved for requests that do not say."""
        self._retriever = retriever
        self._sessions = sessions
        self._recall = recall
        self._max_tokens = max_tokens
        self._passage_tokens = passage_tokens

    async def gather(self, request: AnswerRequest, tenant: str, watch: Stopwatch) -> Material:
        """Read the session, recall what matters, and find the passages.

        Raises NotFoundError for the session before it looks at the collection, and for the
        collection before anything is embedded.
        """
        material = Material(request, tenant, self._max_tokens, self._passage_tokens)
        if request.grounding is None and not request.session_id and not request.subject:
            return material
        exchange = None
        said = _messages_of(request)
        if request.session_id:
            tools = [tool.name for tool in request.tools.tools] if request.tools else ()
            exchange = await open_exchange(
                self._sessions, tenant, request.session_id, request.request_id, said, tools
            )
        earlier = exchange.continued(said) if exchange else ()
        conversation = conversation_of(said, earlier=earlier)
        material = replace(material, exchange=exchange, conversation=conversation)
        subject = request.subject or (exchange.subject if exchange else "")
        if request.grounding is None:
            return replace(material, known=await self._known(tenant, subject, conversation))
        question = question_of(conversation, request.grounding.query)
        collection = await self._retriever.open(
            tenant, request.grounding, is_personal=bool(request.session_id or request.subject)
        )
        async with beside(self._known(tenant, subject, conversation)) as known:
            found = await collection.passages(question.search, request.grounding, watch)
            return replace(material, question=question, found=tuple(found), known=await known)

    async def _known(
        self, tenant: str, subject: str, conversation: Conversation
    ) -> Sequence[Memory] | None:
        query = question_of(conversation).search if subject else ""
        return await recalled(self._recall, tenant, subject, query)


@dataclass(frozen=True, slots=True)
class Material:
    """What a request is answered from, whichever engine does it."""

    request: AnswerRequest
    tenant: str
    max_tokens: int
    passage_tokens: int
    exchange: OpenExchange | None = None
    conversation: Conversation | None = None
    """None for what goes to the engine as it is."""
    question: Question | None = None
    """What is asked of passages; None without grounding."""
    found: tuple[Passage, ...] = ()
    known: Sequence[Memory] | None = ()
    """Memories that matter, best first; None if they could not be recalled."""

    @property
    def said(self) -> tuple[Message, ...]:
        """What a session keeps of the request: the question, or the results of calls."""
        return tuple(one for one in _messages_of(self.request) if one.role is not Role.SYSTEM)

    @property
    def called_before(self) -> Turn | None:
        """What this request was answered before, if that calls tools: their results name it."""
        answered = self.exchange.answered if self.exchange else None
        return answered if answered and answered.tool_calls else None

    async def packed_for(self, engine: Engine) -> Prepared:
        """Pack the prompt for an engine. Raises LimitExceededError if it cannot fit."""
        if self.conversation is None:
            return Prepared(
                self._engine_request(
                    self.request.sampling, self.request.messages, prompt=self.request.prompt
                )
            )
        packer = Packer(
            engine,
            self.request.template,
            max_tokens=self.request.sampling.max_tokens,
            default_tokens=self.max_tokens,
            passage_tokens=self.passage_tokens,
        )
        if self.question is None:
            packed = await packer.plain(self.conversation, self._known)
        else:
            packed = await packer.grounded(self.conversation, self.found, self._known)
        sampling = replace(self.request.sampling, max_tokens=packed.max_tokens)
        return Prepared(
            self._engine_request(sampling, packed.messages, grounded=self._grounded(packed)),
            packed.passages,
            packed.left_out,
            packed.memories,
        )

    @property
    def _known(self) -> Sequence[Summary | Memory]:
        summary = self.exchange.summary if self.exchange else None
        return [*([summary] if summary and summary.text else []), *(self.known or ())]

    def _grounded(self, packed: Packed) -> GroundedQuestion | None:
        if self.question is None:
            return None
        sources = tuple(
            SourcePassage(passage.number, passage.text, passage.title)
            for passage in packed.passages
        )
        return GroundedQuestion(self.question.asked, sources, self.question.subject)

    def _engine_request(
        self,
        sampling: Sampling,
        messages: tuple[Message, ...],
        *,
        prompt: str | None = None,
        grounded: GroundedQuestion | None = None,
    ) -> EngineRequest:
        return EngineRequest(
            self.request.request_id,
            sampling,
            prompt=prompt,
            messages=messages,
            grounded=grounded,
            constraint=self.request.constraint,
            tools=self.request.tools,
            template_arguments=self.request.template_arguments,
            priority=self.request.priority,
            tenant=self.tenant,
            deadline=self.request.deadline,
        )


def _messages_of(request: AnswerRequest) -> tuple[Message, ...]:
    if request.prompt is None:
        return request.messages
    return (Message(Role.USER, request.prompt),)
