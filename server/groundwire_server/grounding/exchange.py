"""One exchange of a session: the history before it, and storing it when it is done."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from groundwire_index.errors import ConflictError, FailedPreconditionError, GroundwireError

from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import ToolCall
from groundwire_server.grounding.events import StoreOutcome
from groundwire_server.memory.calls import require_all_answered, without_abandoned
from groundwire_server.memory.session import NewTurn, Sessions, Turn
from groundwire_server.memory.summaries.summary import Summary

log = logging.getLogger(__name__)

# Turns that are read at most; what of them fits the model is decided when packing.
RECENT_TURNS = 64
RECENT_TOKENS = 2**20


@dataclass(frozen=True, slots=True)
class OpenExchange:
    """A session as it was when a question was asked in it."""

    sessions: Sessions
    tenant: str
    session_id: str
    birth: str
    subject: str
    head: int
    history: tuple[Message, ...]
    calls: tuple[ToolCall, ...] = ()
    """Those of the last turn."""
    summary: Summary | None = None
    """Of what was said before, and of some of that."""
    answered: Turn | None = None
    """The request has come before, and this is what it was answered, in the session."""

    def continued(self, said: Sequence[Message]) -> tuple[Message, ...]:
        """The history before what is said now: a question, or the results of the last calls.

        Raises InvalidArgumentError for results of other calls, or not of all of them, and
        FailedPreconditionError if the question that led to them is too long ago.
        """
        results = [one for one in said if one.role is Role.TOOL]
        if results:
            first = len(said) - len(results)
            require_all_answered(self.calls, results, "chat.messages", first)
            if not any(one.role is Role.USER for one in self.history):
                raise FailedPreconditionError(
                    f"the question that these results are for is not among the last {RECENT_TURNS} "
                    "turns of the session, and a model is given no more of it: ask a question "
                    "instead, which leaves the calls without results; all turns are kept",
                    reason="NO_QUESTION",
                )
        spoken = [one for one in said if one.role is not Role.SYSTEM]
        return without_abandoned((*self.history, *spoken))[: -len(spoken)]

    async def store(
        self,
        request_id: str,
        said: Iterable[Message],
        answered: NewTurn,
    ) -> StoreOutcome:
        """Append what was said and the answer, all or none, if no one else has written meanwhile.

        The key makes a write that the store repeats after a lost answer count once, and shows
        by which request an exchange was stored. It holds the head because clients may use a
        request id again.
        """
        if self.answered:
            return StoreOutcome.STORED
        turns = (*(NewTurn(one.role, one.content, name=one.name) for one in said), answered)
        try:
            await self.sessions.append(
                self.tenant,
                self.session_id,
                turns,
                expected_head=self.head,
                expected_birth=self.birth,
                idempotency_key=_key(self.head, request_id),
            )
        except ConflictError:
            return StoreOutcome.CONFLICT
        except GroundwireError as error:
            log.warning("an exchange of session %s was not stored: %s", self.session_id, error)
            return StoreOutcome.FAILED
        return StoreOutcome.STORED


async def open_exchange(
    sessions: Sessions,
    tenant: str,
    session_id: str,
    request_id: str,
    said: Sequence[Message],
    tools: Collection[str] = (),
) -> OpenExchange:
    """Read a session's recent turns, from a user turn on.

    If the last of them are what is said now and what this request was answered, then as they
    were before. An answer that calls others than the ``tools`` that may be called now is none to
    this request. Raises NotFoundError, or UnavailableError if the store cannot be reached.
    """
    recent = await sessions.latest(tenant, session_id, tokens=RECENT_TOKENS, limit=RECENT_TURNS)
    turns, head, summary, answered = recent.turns, recent.head, recent.summary, None
    spoken = [one for one in said if one.role is not Role.SYSTEM]
    again = len(spoken) + 1
    if _ends_with(turns, spoken, tools):
        key = _key(head - again, request_id)
        if await sessions.appended(tenant, session_id, key) == head:
            answered = turns[-1]
    if answered:
        turns, head = turns[:-again], head - again
        # One that has more turns in it may be made of the answer.
        summary = summary and summary.at(head, 0)
    whole = _from_first_question(turns)
    calls = turns[-1].tool_calls if turns else ()
    # An instruction among the results of calls is no end of them.
    history = tuple(turn.message for turn in whole if turn.role is not Role.SYSTEM)
    return OpenExchange(
        sessions,
        tenant,
        session_id,
        recent.birth,
        recent.subject,
        head,
        history,
        calls,
        summary,
        answered,
    )


def _key(head: int, request_id: str) -> str:
    return f"generate:{head}:{request_id}"


def _ends_with(turns: Sequence[Turn], said: Sequence[Message], tools: Collection[str]) -> bool:
    """Whether the last turns are what is said, and an answer that it could have."""
    if len(turns) <= len(said):
        return False
    *asked, answer = turns[-len(said) - 1 :]
    return (
        answer.role is Role.ASSISTANT
        and all(call.name in tools for call in answer.tool_calls)
        and [(turn.role, turn.content, turn.name) for turn in asked]
        == [(one.role, one.content, one.name) for one in said]
    )


def _from_first_question(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    # A session may open with something else; turns cut off in the middle may not.
    if not turns or turns[0].number == 1:
        return turns
    first = next((at for at, turn in enumerate(turns) if turn.role is Role.USER), len(turns))
    return turns[first:]
