"""What an answer depends on, as a name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4
from weakref import WeakKeyDictionary

from groundwire_index.backend import CollectionBackend, IndexBackend
from groundwire_index.errors import UnavailableError

from groundwire_server.blocking import run_blocking
from groundwire_server.caching.answer_codec import FORMAT
from groundwire_server.caching.prompt_version import prompt_version
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.engine import Role
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.request import AnswerRequest, Grounding
from groundwire_server.identity import Identity, current_identity

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """The names of an answer in the cache of a tenant."""

    name: bytes
    """Of what an equal request is given."""
    among: bytes
    """Of the questions whose answers this one may have, if they ask the same."""
    question: str
    """Empty if an equal one alone will do."""


class AnswerKeys:
    """Names answers so that whatever may change one changes its name.

    That is the whole request but for its id, its place in the queue and its time; the caller's
    scopes; the model with its revision; the words around what is asked, and the room for it; and
    of a grounded answer, the collection as of its last write, and the model that its texts are
    compared by. A collection counts its writes, and one that is restored counts some again: what
    was made from one is found as long as it stays open in this process.
    """

    def __init__(
        self, index: Callable[[], IndexBackend], embedder: Embedder, *prompt_settings: int
    ) -> None:
        """``prompt_settings``: how many tokens of what go into a prompt."""
        self._index = index
        self._embedder = embedder
        self._made_by = (FORMAT, prompt_version(), prompt_settings)
        self._collections: WeakKeyDictionary[CollectionBackend, str] = WeakKeyDictionary()

    async def of(self, model: ServedModel, request: AnswerRequest, tenant: str) -> AnswerKey:
        """Raises NotFoundError for the collection, and what else the index does."""
        sources = None
        if request.grounding is not None:
            sources = await self._sources(tenant, request.grounding)
        scopes = sorted(current_identity.get(Identity()).scopes)
        base = repr((self._made_by, scopes, model.model, model.revision, sources))
        asked = replace(request, request_id="", priority=0, deadline=None, cache=None)
        question, rest = _without_question(asked)
        return AnswerKey(_digest(base, repr(asked)), _digest(base, repr(rest)), question)

    async def _sources(self, tenant: str, grounding: Grounding) -> tuple[object, ...]:
        def look() -> tuple[CollectionBackend, int]:
            collection = self._index().collection(tenant, grounding.collection)
            return collection, collection.count().sequence

        collection, sequence = await run_blocking(look)
        # One that is deleted and made again, or restored, is another object.
        opened = self._collections.setdefault(collection, uuid4().hex)
        return opened, sequence, self._compared_by()

    def _compared_by(self) -> str:
        try:
            return repr(self._embedder.fingerprint)
        except UnavailableError:
            # An answer for which nothing could be compared is degraded, and not kept.
            return ""


def _without_question(request: AnswerRequest) -> tuple[str, AnswerRequest]:
    """What is asked last, and the request without it.

    A text that is continued, and a chat that ends with the result of a tool, ask nothing.
    """
    if request.prompt is not None:
        return (request.prompt if request.grounding else ""), replace(request, prompt="")
    *before, last = request.messages
    if last.role is not Role.USER:
        return "", request
    return last.content, replace(request, messages=(*before, replace(last, content="")))


def _digest(*parts: str) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.digest()
