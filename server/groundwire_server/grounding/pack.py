"""Fitting passages, memories and history into what the model can read.

What must go in is counted first: instructions, question, and room for the answer. The rest goes in
while there is room, in this order: the best passage; the session's summary; memories that matter;
the newest exchange, without which a follow-up cannot be understood; the other passages by rank; the
older exchanges, newest first. A passage or a memory that does not fit is passed over; the first
exchange that does not fit ends the history, so that it never has holes. Passages are single chunks
until it is known which of them go in; then neighbours are joined, so that no long passage keeps out
a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from groundwire_index.errors import LimitExceededError

from groundwire_server.engines.engine import Engine, Message
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.grounding.adjacent import joined
from groundwire_server.grounding.conversation import Conversation, Exchange
from groundwire_server.grounding.events import Passage
from groundwire_server.grounding.prompt import plain_prompt_of, prompt_of, rendered
from groundwire_server.memory.known import line_of, share_of, told
from groundwire_server.memory.memories.memory import Memory
from groundwire_server.memory.overview import outlined, room_for_summary
from groundwire_server.memory.summaries.summary import Summary

# Tokens that a chat template puts around one message, roughly; the whole is counted at the end.
TEMPLATE_TOKENS = 8
# What is longer than this many characters for each token there is room for needs no counting.
_CHARACTERS_PER_TOKEN = 16

Piece = Passage | Summary | Memory | Exchange


@dataclass(frozen=True, slots=True)
class Taken:
    """The pieces that go in, each kind in the order in which it is read."""

    passages: tuple[Passage, ...] = ()
    summary: Summary | None = None
    memories: tuple[Memory, ...] = ()
    exchanges: tuple[Exchange, ...] = ()

    @property
    def known(self) -> str:
        """What the system message says of what was said and is remembered."""
        return "\n\n".join(filter(None, [outlined(self.summary), told(self.memories)]))


Build = Callable[[Taken], tuple[Message, ...]]


@dataclass(frozen=True, slots=True)
class Packed:
    """A prompt that fits."""

    messages: tuple[Message, ...]
    passages: tuple[Passage, ...]
    """Those that went in, neighbours joined, numbered from 1 by rank."""
    max_tokens: int | None
    """Length of the answer that fits beside them; None without a limit."""
    left_out: int = 0
    """Chunks that did not fit."""
    memories: tuple[Memory, ...] = ()
    """Those that went in, best first."""


class Packer:
    """Packs the prompt of one request."""

    def __init__(
        self,
        engine: Engine,
        template: TemplateInput = NOTHING_BESIDES,
        *,
        max_tokens: int | None,
        default_tokens: int,
        passage_tokens: int,
    ) -> None:
        """Leave room for ``max_tokens`` of answer, or the default, but at most half the context.

        Passages get at most ``passage_tokens``, whatever the context; of what the question leaves,
        the summary gets at most half, and memories a quarter.
        """
        self._engine = engine
        self._template = template
        self._asked = max_tokens
        self._answer = max_tokens or default_tokens
        self._passage_tokens = passage_tokens
        self._context = engine.context_length

    async def grounded(
        self,
        conversation: Conversation,
        passages: Sequence[Passage],
        known: Sequence[Summary | Memory] = (),
    ) -> Packed:
        """Pack a grounded prompt.

        Raises LimitExceededError if the question alone, or with any one passage, is too long.
        """
        history = conversation.history[::-1]
        order: list[Piece] = [
            *passages[:1],
            *known,
            *history[:1],
            *passages[1:],
            *history[1:],
        ]

        def build(taken: Taken) -> tuple[Message, ...]:
            return prompt_of(
                conversation,
                taken.exchanges,
                taken.passages,
                taken.known,
                has_tools=bool(self._template.tools),
            )

        return await self._packed(order, build)

    async def plain(
        self, conversation: Conversation, known: Sequence[Summary | Memory] = ()
    ) -> Packed:
        """Pack a prompt without passages. Raises LimitExceededError if the input is too long."""

        def build(taken: Taken) -> tuple[Message, ...]:
            return plain_prompt_of(conversation, taken.exchanges, taken.known)

        return await self._packed([*known, *conversation.history[::-1]], build)

    async def _packed(self, order: Sequence[Piece], build: Build) -> Packed:
        room = await self._room_beside(build(Taken()))
        taken = await self._taken(order, room)
        offered = sum(isinstance(piece, Passage) for piece in order)
        while True:
            into = _sorted_out(taken)
            if offered and not into.passages:
                raise self._too_long("the question with even one of its sources")
            messages = build(into)
            left = await self._left_after(messages)
            if left is None or left >= 0 or not taken:
                break
            taken.pop()
        went_in = sum(len(passage.chunk_ids) for passage in into.passages)
        return Packed(
            messages, into.passages, self._answer_tokens(left), offered - went_in, into.memories
        )

    async def _room_beside(self, messages: Sequence[Message]) -> int | None:
        left = await self._left_after(messages)
        if left is not None and left < 0:
            raise self._too_long("the question with its instructions")
        return left

    async def _left_after(self, messages: Sequence[Message]) -> int | None:
        """Tokens that the prompt may still grow by; None without a limit."""
        if not self._context:
            return None
        reserved = min(self._answer, self._context // 2)
        return self._context - reserved - await self._engine.count_tokens(messages, self._template)

    def _answer_tokens(self, left: int | None) -> int | None:
        if left is None:
            return self._asked
        return min(self._answer, min(self._answer, self._context // 2) + left)

    async def _taken(self, order: Sequence[Piece], room: int | None) -> list[Piece]:
        """The pieces that there is room for, in order of priority."""
        taken: list[Piece] = []
        shelves: dict[type, int] = {Passage: self._passage_tokens}
        if room is not None:
            shelves[Summary] = room_for_summary(room)
            shelves[Memory] = share_of(room)
        history_ended = False
        for piece in order:
            kind = type(piece)
            is_turns = isinstance(piece, tuple)
            if history_ended and is_turns:
                continue
            limit = _least(room, shelves.get(kind))
            tokens = await self._tokens(piece, limit)
            if limit is not None and tokens > limit:
                history_ended = history_ended or is_turns
                continue
            taken.append(piece)
            if kind in shelves:
                shelves[kind] -= tokens
            room = None if room is None else room - tokens
        return taken

    async def _tokens(self, piece: Piece, limit: int | None) -> int:
        if limit is None:
            return 0
        texts = _texts_of(piece)
        if sum(map(len, texts)) > max(limit, 0) * _CHARACTERS_PER_TOKEN:
            return limit + 1
        return sum([await self._engine.count_tokens(text) + TEMPLATE_TOKENS for text in texts])

    def _too_long(self, what: str) -> LimitExceededError:
        if not self._context:
            return LimitExceededError(
                f"{what} is longer than the {self._passage_tokens} tokens that passages may "
                "take: store shorter chunks, or raise the setting grounding_tokens",
                reason="PASSAGES_TOO_LONG",
                metadata={"limit": str(self._passage_tokens)},
            )
        reserved = min(self._answer, self._context // 2)
        limit = self._context - reserved
        return LimitExceededError(
            f"{what} is longer than {limit} tokens, which is what the context of "
            f'"{self._engine.model}" ({self._context}) leaves beside {reserved} for the answer: '
            "shorten it, or lower sampling.max_tokens",
            reason="CONTEXT_TOO_LONG",
            metadata={"limit": str(limit), "context_length": str(self._context)},
        )


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _texts_of(piece: Piece) -> list[str]:
    match piece:
        case Passage():
            return [rendered(piece)]
        case Summary():
            return [outlined(piece)]
        case Memory():
            return [line_of(piece)]
    return [text for message in piece for text in message.texts]


def _sorted_out(taken: Sequence[Piece]) -> Taken:
    passages = joined([piece for piece in taken if isinstance(piece, Passage)])
    return Taken(
        tuple(replace(passage, number=at) for at, passage in enumerate(passages, start=1)),
        next((piece for piece in taken if isinstance(piece, Summary)), None),
        tuple(piece for piece in taken if isinstance(piece, Memory)),
        tuple(piece for piece in reversed(taken) if isinstance(piece, tuple)),
    )
