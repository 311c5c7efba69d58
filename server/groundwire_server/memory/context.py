"""What a model should see of a session, packed into a token budget.

Packed in this order of priority: the system prompt and the query, which always go in; then the
running summary (`overview`); then memories that matter for the query (`known`); then turns, newest
first and by whole exchanges, until the next exchange does not fit. So the turns that go in are the
end of the session without a gap, and each answer stands with its question,
each tool result with its call. Instructions among those turns join the system prompt, because
a chat has one system message and it comes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from groundwire_index.errors import LimitExceededError

from groundwire_server.engines.engine import Message, Role
from groundwire_server.memory.calls import without_abandoned
from groundwire_server.memory.exchange import Exchange
from groundwire_server.memory.fit import Fit, largest_fit
from groundwire_server.memory.history import History
from groundwire_server.memory.known import Known, Recall, choose, nothing, recalled, told
from groundwire_server.memory.memories.memory import Memory
from groundwire_server.memory.overview import Overview, outlined, overview
from groundwire_server.memory.session import Sessions, Turn
from groundwire_server.memory.summaries.summary import Summary

CountMessages = Callable[[Sequence[Message]], Awaitable[int]]


class ContextPart(Enum):
    """What a piece of context is."""

    SYSTEM_PROMPT = "system_prompt"
    SUMMARY = "summary"
    MEMORY = "memory"
    TURN = "turn"
    QUERY = "query"


class DropReason(Enum):
    """Why a piece was left out."""

    BUDGET = "budget"
    INCOMPLETE_EXCHANGE = "incomplete_exchange"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class ContextItem:
    """A run of pieces of one kind; for turns and their summary, the first and the last turn."""

    part: ContextPart
    tokens: int
    """Exact, and in sum those of the messages, for what is included; else as stored."""
    first_turn: int = 0
    last_turn: int = 0
    why: DropReason | None = None
    memory_ids: tuple[str, ...] = ()
    """Of memories."""


@dataclass(frozen=True, slots=True)
class ContextReport:
    """What went in and what did not; the turns of both are all turns of the session."""

    included: tuple[ContextItem, ...]
    dropped: tuple[ContextItem, ...]
    tokens: int
    """Tokens of the messages under the model's chat template, at most ``budget_tokens``."""
    budget_tokens: int
    head: int


@dataclass(frozen=True, slots=True)
class Context:
    """Messages in the order a model should see them, and how they came about."""

    messages: tuple[Message, ...]
    report: ContextReport


async def build_context(
    sessions: Sessions,
    tenant: str,
    session_id: str,
    *,
    query: str,
    budget_tokens: int,
    system_prompt: str,
    count_messages: CountMessages,
    recall: Recall = nothing,
) -> Context:
    """Pack system prompt, query, memories and the end of the session; either text may be empty.

    ``count_messages`` counts by the served model's tokenizer and chat template, and is called a
    few times whatever the length of the session. Raises LimitExceededError, with ``needed`` and
    ``budget`` in its metadata, if system prompt and query alone do not fit.
    """
    frame = _Frame(system_prompt, query, count_messages)
    bare = await frame.count(())
    if bare > budget_tokens:
        raise _does_not_fit(bare, budget_tokens)
    # To read a session is to use it.
    latest = await sessions.latest(tenant, session_id, tokens=budget_tokens)
    history = History(sessions, tenant, session_id, latest)
    about = await overview(
        history.summary,
        lambda summary: replace(frame, summary=summary).count(()),
        bare=bare,
        budget=budget_tokens,
    )
    frame = outlined_frame = replace(frame, summary=about.included)
    known = await choose(
        await recalled(recall, tenant, history.subject, query),
        lambda memories: replace(outlined_frame, memories=memories).count(()),
        bare=about.tokens,
        budget=budget_tokens,
    )
    frame = replace(frame, memories=known.included)
    fit = await _pack(frame, history, Fit(0, known.tokens), budget_tokens)
    turns = _turns(history.exchanges()[: fit.pieces])
    report = ContextReport(
        included=_included(
            frame, turns, await frame.query_tokens(bare), bare, about, known, fit.tokens
        ),
        dropped=(
            *_dropped_summary(about),
            *_dropped_memories(known),
            *_dropped(history, turns, fit.tokens - known.tokens, budget_tokens - fit.tokens),
        ),
        tokens=fit.tokens,
        budget_tokens=budget_tokens,
        head=history.head,
    )
    return Context(frame.messages(turns), report)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the turns are packed in."""

    system_prompt: str
    query: str
    count_messages: CountMessages
    summary: Summary | None = None
    memories: Sequence[Memory] = ()
    made: dict[int, Message] = field(default_factory=dict)
    """Of turns, by number: the same ones are counted again and again."""

    def messages(self, turns: Sequence[Turn]) -> tuple[Message, ...]:
        instructions = [turn.content for turn in turns if turn.role is Role.SYSTEM]
        system = "\n\n".join(
            filter(
                None,
                [self.system_prompt, outlined(self.summary), told(self.memories), *instructions],
            )
        )
        return (
            *([Message(Role.SYSTEM, system)] if system else []),
            *without_abandoned(
                [
                    *(self._message(turn) for turn in turns if turn.role is not Role.SYSTEM),
                    *([Message(Role.USER, self.query)] if self.query else []),
                ]
            ),
        )

    def _message(self, turn: Turn) -> Message:
        message = self.made.get(turn.number)
        if message is None:
            message = self.made[turn.number] = turn.message
        return message

    async def count(self, turns: Sequence[Turn]) -> int:
        messages = self.messages(turns)
        return await self.count_messages(messages) if messages else 0

    async def query_tokens(self, bare: int) -> int:
        """The query's share of ``bare``, the tokens of the system prompt and the query."""
        if not (self.system_prompt and self.query):
            return bare if self.query else 0
        # A template may have a system prompt of its own for a chat without one.
        return min(bare, await self.count_messages((Message(Role.USER, self.query),)))


async def _pack(frame: _Frame, history: History, known: Fit, budget: int) -> Fit:
    """How many of the newest exchanges fit. Reads no further back than it has to."""

    async def count(pieces: int) -> int:
        return await frame.count(_turns(history.exchanges()[:pieces]))

    while True:
        while not history.is_complete and history.stored_tokens <= budget - known.tokens:
            await history.read_more()
        estimates = [exchange.stored_tokens for exchange in history.exchanges()]
        known = await largest_fit(count, estimates, known=known, budget=budget)
        # Stored counts may be of another tokenizer, but hardly of half its tokens.
        settled = known.pieces < len(estimates) or history.unfinished_tokens() > 2 * budget
        if settled or history.is_complete:
            return known
        await history.read_more()


def _included(
    frame: _Frame,
    turns: Sequence[Turn],
    query_tokens: int,
    bare: int,
    about: Overview,
    known: Known,
    tokens: int,
) -> tuple[ContextItem, ...]:
    items = []
    if frame.system_prompt:
        items.append(ContextItem(ContextPart.SYSTEM_PROMPT, bare - query_tokens))
    if about.included:
        items.append(_summary(about.included, about.tokens - bare))
    if known.included:
        items.append(_memories(known.included, known.tokens - about.tokens))
    if turns:
        numbers = (turns[0].number, turns[-1].number)
        items.append(ContextItem(ContextPart.TURN, tokens - known.tokens, *numbers))
    if frame.query:
        items.append(ContextItem(ContextPart.QUERY, query_tokens))
    return tuple(items)


def _summary(summary: Summary, tokens: int, why: DropReason | None = None) -> ContextItem:
    return ContextItem(ContextPart.SUMMARY, tokens, summary.first, summary.last, why)


def _dropped_summary(about: Overview) -> Iterator[ContextItem]:
    if about.dropped:
        yield _summary(about.dropped, about.dropped_tokens, DropReason.BUDGET)


def _memories(
    memories: Sequence[Memory], tokens: int, why: DropReason | None = None
) -> ContextItem:
    ids = tuple(memory.id for memory in memories)
    return ContextItem(ContextPart.MEMORY, tokens, why=why, memory_ids=ids)


def _dropped_memories(known: Known) -> Iterator[ContextItem]:
    if known.is_lost:
        yield _memories((), 0, DropReason.UNAVAILABLE)
    if known.dropped:
        yield _memories(known.dropped, known.dropped_tokens, DropReason.BUDGET)


def _dropped(
    history: History, included: Sequence[Turn], included_tokens: int, room: int
) -> Iterator[ContextItem]:
    last = history.head - len(included)
    kept = sum(turn.token_count for turn in included)
    # The model counts otherwise than the store: by how much is seen from what went in.
    scale = max(included_tokens, 1) / kept if kept else 1.0
    tail = _would_fit(history.turns[: len(history.turns) - len(included)], room / scale)
    cut = sum(turn.token_count for turn in tail)
    if last > len(tail):
        tokens = history.token_count - kept - cut
        yield ContextItem(ContextPart.TURN, tokens, 1, last - len(tail), DropReason.BUDGET)
    if tail:
        first = last - len(tail) + 1
        yield ContextItem(ContextPart.TURN, cut, first, last, DropReason.INCOMPLETE_EXCHANGE)


def _would_fit(turns: Sequence[Turn], room: float) -> Sequence[Turn]:
    """The last turns that would fit but for the question that they belong to."""
    first = len(turns)
    while first and turns[first - 1].role is not Role.USER and turns[first - 1].token_count <= room:
        first -= 1
        room -= turns[first].token_count
    return turns[first:]


def _turns(newest_first: Sequence[Exchange]) -> tuple[Turn, ...]:
    return tuple(turn for exchange in reversed(newest_first) for turn in exchange.turns)


def _does_not_fit(needed: int, budget: int) -> LimitExceededError:
    return LimitExceededError(
        f"the system prompt and the query alone take {needed} tokens, but the budget is {budget}: "
        "shorten them, or raise budget_tokens",
        reason="CONTEXT_BUDGET",
        metadata={"needed": str(needed), "budget": str(budget)},
    )
