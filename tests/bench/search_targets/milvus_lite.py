"""milvus-lite's own server, in a process of its own, through pymilvus."""

from __future__ import annotations

import sys
import tempfile
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Self

from pymilvus import AsyncMilvusClient, DataType, MilvusClient

from tests.bench.search_targets.corpus import Below, Corpus
from tests.bench.search_targets.target import Vector
from tests.e2e.listening import listening

COLLECTION = "bench"
BATCH = 1000
FIELDS = ("shelf", "box")
LONGEST_TEXT = 65_535
# Candidates with which it finds 99 % of 100,000 rows; without a filter, its default suffices.
EF = 64
FILTERED_EF = {
    Below("box", 1): 16_384,
    Below("shelf", 1): 8_192,
    Below("shelf", 10): 512,
    Below("shelf", 50): 256,
}
# Its server ends connections whose clients ask as often as pymilvus does whether they are alive.
QUIET = {"grpc.keepalive_time_ms": 600_000}


class MilvusLite:
    """Insert, flush and search as its users call them.

    It has FAISS's HNSW, one for each of its segments, by its defaults (M 16, efConstruction 200),
    built behind what was stored, and an inverted index for each field that is filtered by. What a
    filter keeps out is passed over in the graph: the fewer rows are left, the more candidates it
    takes to find them. An exact index (FLAT) finds few rows faster, and many several times slower.
    Each search also goes through all rows in Python, for those that were deleted or replaced.
    """

    name = "milvus-lite"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        command = [str(Path(sys.executable).with_name("milvus-lite")), "server"]
        server = listening([*command, "--data-dir", folder, "--host", "127.0.0.1", "--port", "0"])
        self._uri = f"http://127.0.0.1:{self._stack.enter_context(server)}"
        self._client = AsyncMilvusClient(self._uri, grpc_options=QUIET)
        self._stack.push_async_callback(self._client.close)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def fill(self, corpus: Corpus) -> None:
        """Insert in batches, one after the other, for it takes one writer; they are in files."""
        self._create(corpus.vectors.shape[1])
        for start in range(0, len(corpus.vectors), BATCH):
            rows = range(start, min(start + BATCH, len(corpus.vectors)))
            await self._client.insert(COLLECTION, [_entity(corpus, row) for row in rows])
        await self._client.flush(COLLECTION)

    async def search(self, query: Vector, top_k: int, where: Below | None) -> list[int]:
        """Search by vector, for texts and metadata."""
        (found,) = await self._client.search(
            COLLECTION,
            [query],
            filter="" if where is None else f"{where.field} < {where.bound}",
            limit=top_k,
            output_fields=["text", *FIELDS],
            search_params={"params": {"ef": EF if where is None else FILTERED_EF[where]}},
        )
        return [hit["id"] for hit in found]

    def _create(self, dimension: int) -> None:
        # The asynchronous client asks for a timestamp first, which milvus-lite does not have.
        with closing(MilvusClient(self._uri)) as client:
            schema = client.create_schema()
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            schema.add_field("text", DataType.VARCHAR, max_length=LONGEST_TEXT)
            indexes = client.prepare_index_params()
            indexes.add_index("vector", index_type="HNSW", metric_type="COSINE")
            for field in FIELDS:
                schema.add_field(field, DataType.INT64)
                indexes.add_index(field, index_type="INVERTED")
            client.create_collection(COLLECTION, schema=schema, index_params=indexes)


def _entity(corpus: Corpus, row: int) -> dict[str, object]:
    return {
        "id": row,
        "vector": corpus.vectors[row],
        "text": corpus.texts[row],
        **corpus.metadata(row),
    }
