"""How a collection lies in Milvus: one row a record, and a few rows beside them.

All of a write is the rows of one upsert, and so they are in one Milvus collection of one shard:
the records, the document that they are chunks of, the answer that an idempotency key gets again,
and the head, which has the number of the last write. A record that goes is written as a dead
row in that same upsert, and removed later.
"""

from __future__ import annotations

from groundwire_index.ann import FAMILIES
from groundwire_index.checks import check_spec, require
from groundwire_index.errors import UnsupportedError
from groundwire_index.records import CollectionSpec, Metric, VectorType

KEY = "pk"
"""A letter for the kind of row, and the word of an id."""
STATE = "state"
PLACE = "place"
"""Where a record stands in order of first insertion; from 1."""
DOCUMENT = "document"
"""`RECORD` and the word of the document's id; "" without a document."""
TEXT = "text"
BODY = "body"
"""Metadata of a record, or what another row holds, as JSON."""
POSITION = "position"
FACTS = "facts"
VECTOR = "vector"
TIME = "time"
"""The fact by which an answer is old enough to be forgotten."""

RECORD, STORED_DOCUMENT, ANSWER, HEAD = "r", "s", "w", "head"

WITH_VECTOR, WITHOUT_VECTOR, NO_RECORD, DEAD = 2, 1, 0, -1
RECORDS = f"{STATE} >= {WITHOUT_VECTOR}"
VECTORS = f"{STATE} == {WITH_VECTOR}"
ANSWERS = f'({STATE} == {NO_RECORD} and {KEY} like "{ANSWER}%")'
DOCUMENTS = f'({STATE} == {NO_RECORD} and {KEY} like "{STORED_DOCUMENT}%")'

# Limits of Milvus.
MAX_TEXT_BYTES = 65_535
MAX_FACTS_BYTES = 65_536
MAX_KEY_BYTES = 2_048
MAX_ROWS = 16_384
"""That one query can give, and so what one write may touch."""
_DIMENSIONS = range(2, 32_769)

_METRICS = {Metric.COSINE: "COSINE", Metric.DOT: "IP", Metric.EUCLIDEAN: "L2"}
_KINDS = ("auto", "flat", "hnsw")
_M, _EF_CONSTRUCTION = 16, 160
EF = 128
"""Candidates of a search that does not say."""


def check_spec_for_milvus(spec: CollectionSpec) -> None:
    """Refuse a collection that cannot be made, here or at all."""
    check_spec(spec)
    require(
        spec.dimension in _DIMENSIONS,
        "dimension",
        f"{spec.dimension:,} is not allowed with the index in Milvus: {_DIMENSIONS.start:,} to "
        f"{_DIMENSIONS.stop - 1:,}",
    )
    if spec.vector_type is not VectorType.FLOAT32:
        raise UnsupportedError(
            f'vector_type "{spec.vector_type.value}" is not supported with the index in Milvus: '
            "use float32, or serve with --index embedded",
            reason="VECTOR_TYPE_UNSUPPORTED",
        )
    if spec.index_kind not in _KINDS:
        raise UnsupportedError(
            f'index kind "{spec.index_kind}" is not supported with the index in Milvus: use one '
            f"of {', '.join(_KINDS)}",
            reason="INDEX_KIND_UNSUPPORTED",
        )
    if spec.index_kind == "hnsw":
        FAMILIES["hnsw"].check(spec.index_parameters)


def index_of(spec: CollectionSpec) -> tuple[str, str, dict[str, int]]:
    """Index type, metric type and parameters, in the words of Milvus."""
    metric = _METRICS[spec.metric]
    if spec.index_kind == "flat":
        return "FLAT", metric, {}
    given = spec.index_parameters
    return (
        "HNSW",
        metric,
        {
            "M": int(given.get("m", _M)),
            "efConstruction": int(given.get("ef_construction", _EF_CONSTRUCTION)),
        },
    )
