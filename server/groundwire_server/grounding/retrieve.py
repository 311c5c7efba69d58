"""Finding the passages that an answer may draw from."""

from __future__ import annotations

from collections.abc import Iterable

from groundwire_index.backend import CollectionBackend, IndexBackend
from groundwire_index.records import (
    Document,
    Hit,
    Include,
    Metric,
    SearchMode,
    SearchQuery,
    Vector,
)

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.embedders.match import require_match
from groundwire_server.grounding.duplicates import without_duplicates
from groundwire_server.grounding.events import Passage
from groundwire_server.grounding.request import Grounding
from groundwire_server.grounding.stopwatch import Stopwatch

# BM25 scores have no upper end; this one counts as half relevant.
HALF_RELEVANT_BM25 = 6.0


class Retriever:
    """Searches the collections of every tenant."""

    def __init__(
        self, index: IndexBackend, embedder: Embedder, forgetting: Embedder | None = None
    ) -> None:
        """``forgetting`` is the embedder for questions of which nothing may be left in a cache."""
        self._index = index
        self._embedder = embedder
        self._forgetting = forgetting or embedder

    async def open(
        self, tenant: str, grounding: Grounding, *, is_personal: bool = False
    ) -> SearchableCollection:
        """Open the collection, and check that its vectors can be searched by this embedder.

        What is asked of it ``is_personal`` when it is said in a session, or about somebody.
        Raises NotFoundError, or FailedPreconditionError for vectors of another model.
        """
        collection = await run_blocking(self._index.collection, tenant, grounding.collection)
        spec = collection.spec
        mode = grounding.mode or self._index.text_mode
        if mode is not SearchMode.LEXICAL:
            require_match(spec.name, spec.fingerprint, self._embedder.fingerprint)
        embedder = self._forgetting if is_personal else self._embedder
        return SearchableCollection(collection, mode, embedder)


class SearchableCollection:
    """One collection, ready to be searched by text."""

    def __init__(self, collection: CollectionBackend, mode: SearchMode, embedder: Embedder) -> None:
        self._collection = collection
        self._mode = mode
        self._embedder = embedder

    async def passages(self, query: str, grounding: Grounding, watch: Stopwatch) -> list[Passage]:
        """The best passages, best first, numbered by rank from 1.

        Records without text are none, nor are those that say nothing new after a better one.
        """
        vector = None
        if self._mode is not SearchMode.LEXICAL:
            with watch.phase("embed"):
                vector = (await self._embedder.embed([query], EmbedKind.QUERY)).vectors[0]
        with watch.phase("retrieve"):
            return await run_blocking(self._search, query, vector, grounding)

    def _search(self, query: str, vector: Vector | None, grounding: Grounding) -> list[Passage]:
        hits = self._collection.search(
            SearchQuery(
                vector=vector,
                text=None if self._mode is SearchMode.DENSE else query,
                top_k=grounding.top_k,
                mode=self._mode,
                filter=grounding.filter,
                min_score=grounding.min_score,
                include=Include(text=True, metadata=True, vector=False),
            )
        ).hits
        documents = self._documents(hits)
        metric = self._collection.spec.metric
        readable = [hit for hit in hits if hit.record.text and not hit.record.text.isspace()]
        return without_duplicates(
            _passage(number, hit, documents.get(hit.record.document_id), metric)
            for number, hit in enumerate(readable, start=1)
        )

    def _documents(self, hits: Iterable[Hit]) -> dict[str, Document]:
        ids = {hit.record.document_id for hit in hits} - {""}
        found = {document_id: self._collection.document(document_id) for document_id in ids}
        return {document_id: document for document_id, document in found.items() if document}


def relevance(hit: Hit, metric: Metric) -> float:
    """How much a hit looks like the question, 0 to 1, whatever the search mode.

    The cosine of their unit vectors, negatives as 0; where the search was by words alone,
    ``s / (s + 6)`` of the BM25 score s.
    """
    if hit.dense_score is not None:
        cosine = 1 + hit.dense_score / 2 if metric is Metric.EUCLIDEAN else hit.dense_score
        return min(1.0, max(0.0, cosine))
    if hit.lexical_score is not None:
        score = max(0.0, hit.lexical_score)
        return score / (score + HALF_RELEVANT_BM25)
    return 0.0


def _passage(number: int, hit: Hit, document: Document | None, metric: Metric) -> Passage:
    record = hit.record
    position = record.position
    named = record.metadata.get("title")
    return Passage(
        number=number,
        chunk_id=hit.id,
        document_id=record.document_id,
        title=document.title if document else named if isinstance(named, str) else "",
        text=record.text or "",
        score=hit.score,
        relevance=relevance(hit, metric),
        page=position.page if position else None,
        headings=position.headings if position else (),
        position=position,
    )
