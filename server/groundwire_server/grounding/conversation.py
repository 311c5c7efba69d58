"""A chat, taken apart into the pieces that are packed into a prompt one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from groundwire_server.engines.engine import Message, Role

Exchange = tuple[Message, ...]
"""What follows from one user message: the message, and the answers up to the next one."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said, in order."""

    question: str
    """The last user message."""
    system: str = ""
    history: tuple[Exchange, ...] = ()
    """Before the question, oldest first."""
    tail: tuple[Message, ...] = ()
    """After the question: tool calls and their results."""

    @property
    def earlier_questions(self) -> tuple[str, ...]:
        """The user messages before the question, oldest first."""
        return tuple(
            exchange[0].content for exchange in self.history if exchange[0].role is Role.USER
        )


def conversation_of(
    messages: Iterable[Message], *, earlier: Iterable[Message] = ()
) -> Conversation:
    """Take apart a chat with at least one user message; ``earlier`` goes before it."""
    messages = tuple(messages)
    system = "\n\n".join(m.content for m in messages if m.role is Role.SYSTEM)
    spoken = [message for message in (*earlier, *messages) if message.role is not Role.SYSTEM]
    last = max(at for at, message in enumerate(spoken) if message.role is Role.USER)
    return Conversation(
        question=spoken[last].content,
        system=system,
        history=tuple(_exchanges(spoken[:last])),
        tail=tuple(spoken[last + 1 :]),
    )


def _exchanges(messages: Iterable[Message]) -> list[Exchange]:
    exchanges: list[list[Message]] = []
    for message in messages:
        if message.role is Role.USER or not exchanges:
            exchanges.append([])
        exchanges[-1].append(message)
    return [tuple(exchange) for exchange in exchanges]
