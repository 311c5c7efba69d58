"""Looking for memories in what was said since the last look."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from groundwire_index.errors import NotFoundError

from groundwire_server.engines.engine import Role
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.memory.asking import written
from groundwire_server.memory.background import Done
from groundwire_server.memory.due import Named
from groundwire_server.memory.extraction.candidates import Candidate, candidates_in, prompt_for
from groundwire_server.memory.extraction.gate import Verdict, is_known, judged
from groundwire_server.memory.memories.forgetting import Asked
from groundwire_server.memory.memories.memory import (
    Extraction,
    Memory,
    NewMemory,
    OfIds,
    Question,
    Recalled,
    Receipt,
    Source,
)
from groundwire_server.memory.memories.store import Once
from groundwire_server.memory.session import Turn, Turns
from groundwire_server.memory.session_views import Described

_PAGE = 32
_ANSWER_TOKENS = 512
_PROMPT_CHARACTERS = 8000
_NEAREST = 3


class Progress(Protocol):
    """Sessions, and how far each was looked through."""

    async def look(self, tenant: str, session_id: str) -> Described:
        """A session, which is no use of it. Raises NotFoundError."""
        ...

    async def turns(self, tenant: str, session_id: str, *, after: int, limit: int) -> Turns:
        """Turns after a number, which is no use of the session either."""
        ...

    async def advance(self, tenant: str, before: Described, turn: int) -> bool:
        """Note that a session was looked through up to a turn; False if somebody else has."""
        ...


class Remembering(Protocol):
    """Long-term memories."""

    async def remember(self, tenant: str, new: NewMemory, once: Once) -> Memory:
        """Store one; NotFoundError if what the key made was forgotten."""
        ...

    async def recall(self, tenant: str, question: Question) -> Sequence[Recalled]:
        """Those that are nearest."""
        ...

    async def forget(self, asked: Asked) -> Receipt:
        """Remove some for good."""
        ...


class Extracting:
    """Has a model look, and lets in what passes the gate.

    Turns are looked at once. A crash in between has them looked at again, which finds what was
    stored; what was forgotten since is not stored again.
    """

    def __init__(
        self,
        progress: Progress,
        memories: Remembering,
        model: ServedModel,
        *,
        confidence: float,
        nobody: str,
        on_verdict: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Of the subject ``nobody``, who may be anybody, nothing is remembered."""
        self._progress = progress
        self._memories = memories
        self._model = model
        self._confidence = confidence
        self._nobody = nobody
        self._on_verdict = on_verdict

    async def __call__(self, named: Named) -> Done:
        """Look through some turns of a session, if there are new ones."""
        found = await self._progress.look(named.tenant, named.session_id)
        if found.extracted >= found.session.head or found.session.subject == self._nobody:
            return Done.NOTHING
        if self._model.waiting.requests:
            return Done.BUSY
        page = await self._progress.turns(
            named.tenant, named.session_id, after=found.extracted, limit=_PAGE
        )
        said = {turn.number: turn for turn in page.turns if turn.role is Role.USER}
        candidates = await self._proposed(named.tenant, list(said.values())) if said else []
        if not await self._is_wanted(named, found):
            return Done.AGAIN
        stored: list[str] = []
        for candidate in candidates:
            verdict = await self._admit(named, found, candidate, said, stored)
            self._on_verdict(verdict.value)
        last = page.turns[-1].number
        if not await self._progress.advance(named.tenant, found, last):
            await self._take_back(named, found, stored)
            return Done.AGAIN
        return Done.AGAIN if last < found.session.head else Done.MADE

    async def _proposed(self, tenant: str, turns: Sequence[Turn]) -> list[Candidate]:
        prompt = prompt_for(turns, max(1, self._characters() // len(turns)))
        text, _ = await written(self._model, tenant, prompt, max_tokens=_ANSWER_TOKENS)
        return list(candidates_in(text))

    def _characters(self) -> int:
        # A token has two characters at least, but for the orders, which have about 250 tokens.
        context = self._model.context_length
        room = 2 * max(context - _ANSWER_TOKENS - 300, 100)
        return min(_PROMPT_CHARACTERS, room) if context else _PROMPT_CHARACTERS

    async def _is_wanted(self, named: Named, before: Described) -> bool:
        """Whether nothing was forgotten while the model has looked."""
        now = await self._progress.look(named.tenant, named.session_id)
        return now.life == before.life and now.extracted == before.extracted

    async def _take_back(self, named: Named, before: Described, stored: Sequence[str]) -> None:
        """Forget what was stored, if something was forgotten meanwhile, which came too early."""
        now = await self._progress.look(named.tenant, named.session_id)
        if stored and _forgotten(now) > _forgotten(before):
            subject = before.session.subject
            await self._memories.forget(Asked(named.tenant, subject, OfIds(tuple(stored))))

    async def _admit(
        self,
        named: Named,
        found: Described,
        candidate: Candidate,
        said: dict[int, Turn],
        stored: list[str],
    ) -> Verdict:
        verdict = judged(candidate, said, self._confidence)
        if verdict is not Verdict.STORED:
            return verdict
        subject = found.session.subject
        nearest = await self._memories.recall(
            named.tenant, Question(subject, candidate.text, _NEAREST)
        )
        if is_known(candidate.text, nearest):
            return Verdict.KNOWN
        new = NewMemory(
            subject=subject,
            text=candidate.text,
            kind=candidate.kind,
            sources=(Source(named.session_id, candidate.turn),),
            extraction=Extraction(self._model.model, candidate.confidence),
        )
        try:
            memory = await self._memories.remember(named.tenant, new, _once(found, candidate))
        except NotFoundError:
            return Verdict.KNOWN
        stored.append(memory.id)
        return Verdict.STORED


def _forgotten(session: Described) -> int:
    return session.summary.forgotten if session.summary else 0


def _once(found: Described, candidate: Candidate) -> Once:
    digest = hashlib.sha256(candidate.text.encode()).digest()
    return Once(f"extracted:{found.life.birth}:{candidate.turn}:{digest.hex()[:32]}", digest)
