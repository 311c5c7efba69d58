"""One exchange of a session: the history before it, and storing it when it is done."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from groundwire_index.errors import ConflictError, GroundwireError

from groundwire_server.engines.engine import Message, Role
from groundwire_server.grounding.events import StoreOutcome
from groundwire_server.memory.session import Answer, NewTurn, Sessions, Turn

log = logging.getLogger(__name__)

# Turns that are read at most; what of them fits the model is decided when packing.
RECENT_TURNS = 64


@dataclass(frozen=True, slots=True)
class OpenExchange:
    """A session as it was when a question was asked in it."""

    sessions: Sessions
    tenant: str
    session_id: str
    subject: str
    head: int
    history: tuple[Message, ...]

    async def store(
        self,
        request_id: str,
        question: str,
        text: str,
        source_ids: tuple[str, ...],
        answer: Answer,
    ) -> StoreOutcome:
        """Append question and answer, both or neither, if no one else has written meanwhile.

        The key makes a write that the store repeats after a lost answer count once. It holds
        the head because clients may use a request id again.
        """
        turns = (
            NewTurn(Role.USER, question),
            NewTurn(Role.ASSISTANT, text, source_ids=source_ids, answer=answer),
        )
        try:
            await self.sessions.append(
                self.tenant,
                self.session_id,
                turns,
                expected_head=self.head,
                idempotency_key=f"generate:{self.head}:{request_id}",
            )
        except ConflictError:
            return StoreOutcome.CONFLICT
        except GroundwireError as error:
            log.warning("an exchange of session %s was not stored: %s", self.session_id, error)
            return StoreOutcome.FAILED
        return StoreOutcome.STORED


async def open_exchange(sessions: Sessions, tenant: str, session_id: str) -> OpenExchange:
    """Read a session's recent turns, from a user turn on.

    Raises NotFoundError, or UnavailableError if the store cannot be reached.
    """
    session = await sessions.get(tenant, session_id)
    recent = await sessions.recent(tenant, session_id, limit=RECENT_TURNS)
    whole = _from_first_question(recent.turns)
    history = tuple(Message(turn.role, turn.content) for turn in whole)
    return OpenExchange(sessions, tenant, session_id, session.subject, recent.head, history)


def _from_first_question(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    # A session may open with something else; turns cut off in the middle may not.
    if not turns or turns[0].number == 1:
        return turns
    first = next((at for at, turn in enumerate(turns) if turn.role is Role.USER), len(turns))
    return turns[first:]
