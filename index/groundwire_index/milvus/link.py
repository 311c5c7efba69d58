"""The one place where pymilvus is called: what this index asks of Milvus, and what it raises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from groundwire_index.errors import FailedPreconditionError
from groundwire_index.milvus import schema
from groundwire_index.milvus.failures import milvus_errors
from groundwire_index.milvus.schema import MAX_ROWS
from groundwire_index.records import CollectionSpec
from groundwire_index.storage.segment_file import Matrix

Row = Mapping[str, Any]
"""A row's fields by their names; see `schema`."""

# Every read sees every write that was acknowledged before it.
_STRONG = "Strong"
# What pymilvus' own iterator asks with: rows come by key, and a limit cuts off the last ones.
_IN_ORDER_OF_KEY = {"iterator": "True", "reduce_stop_for_best": True}
_PAGE = 1000
_NOT_LOADED = 101
# What pymilvus opens with milvus-lite, in this process.
_FILE = ".db"


class MilvusLink:
    """A connection to one Milvus database. All methods block and are thread-safe.

    Raises UnavailableError when Milvus cannot be reached or does not answer in ``timeout_s``,
    when a write may have been done or not; ResourceExhaustedError when it refuses for a quota;
    FailedPreconditionError for what else it refuses; DataLossError when it has lost a collection.
    """

    def __init__(self, uri: str, token: str = "", *, timeout_s: float = 30.0) -> None:
        """``uri`` is http://HOST:PORT, with /DATABASE, or a file whose name ends with .db.

        The file is opened with milvus-lite. Raises FailedPreconditionError without pymilvus.
        """
        self._library = library = _pymilvus()
        self._uri = uri
        self._timeout_s = timeout_s
        with self._errors():
            self._client = library.MilvusClient(uri, token=token, timeout=timeout_s, dedicated=True)

    def close(self) -> None:
        """Let the connection go, and the file."""
        self._client.close()
        if self._uri.endswith(_FILE):
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self._uri)

    def exists(self, name: str) -> bool:
        """Whether Milvus has a collection."""
        with self._errors():
            return bool(self._client.has_collection(name, timeout=self._timeout_s))

    def create(self, name: str, spec: CollectionSpec) -> None:
        """Create a collection of one shard, and have it answer."""
        kind, metric, parameters = schema.index_of(spec)
        indexes = self._client.prepare_index_params()
        indexes.add_index(schema.VECTOR, index_type=kind, metric_type=metric, params=parameters)
        with self._errors():
            self._client.create_collection(
                name,
                schema=self._schema(spec.dimension),
                index_params=indexes,
                num_shards=1,
                consistency_level=_STRONG,
                timeout=self._timeout_s,
            )

    def drop(self, name: str) -> None:
        """Remove a collection; it is no error if there is none."""
        with self._errors():
            self._client.drop_collection(name, timeout=self._timeout_s)

    def upsert(self, name: str, rows: Sequence[Row]) -> None:
        """Put rows in the place of those with their keys, all in one request."""
        with self._errors():
            self._client.upsert(name, [dict(row) for row in rows], timeout=self._timeout_s)

    def remove(self, name: str, where: str) -> None:
        """Delete the rows for which an expression holds."""
        self._ask(name, self._client.delete, filter=where)

    def rows(self, name: str, keys: Sequence[str], fields: Sequence[str]) -> dict[str, Row]:
        """The rows of those of the keys that there are, by key."""
        if not keys:
            return {}
        listed = ", ".join(f'"{key}"' for key in keys)
        found = self.select(name, f"{schema.KEY} in [{listed}]", fields)
        return {row[schema.KEY]: row for row in found}

    def select(
        self, name: str, where: str, fields: Sequence[str], limit: int = MAX_ROWS
    ) -> list[Row]:
        """Rows for which an expression holds, in no order, up to a limit."""
        return self._query(name, where, [schema.KEY, *fields], limit=limit)

    def in_order(
        self, name: str, where: str, fields: Sequence[str], limit: int | None = None
    ) -> list[Row]:
        """Rows for which an expression holds, in order of key, up to a limit if there is one."""
        rows: list[Row] = []
        after = ""
        while limit is None or len(rows) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(rows))
            beyond = f'{schema.KEY} > "{after}" and ({where})'
            page = self._query(name, beyond, [schema.KEY, *fields], limit=size, **_IN_ORDER_OF_KEY)
            rows += page
            if len(page) < size:
                break
            after = page[-1][schema.KEY]
        return rows

    def count(self, name: str, where: str) -> int:
        """How many rows there are for which an expression holds."""
        (row,) = self._query(name, where, ["count(*)"])
        return int(row["count(*)"])

    def nearest(
        self,
        name: str,
        queries: Matrix,
        where: str,
        fields: Sequence[str],
        *,
        limit: int,
        ef: int,
    ) -> list[list[Row]]:
        """The rows nearest to each query for which an expression holds, by the index."""
        found = self._ask(
            name,
            self._client.search,
            data=list(queries),
            anns_field=schema.VECTOR,
            filter=where,
            limit=limit,
            output_fields=list(fields),
            search_params={"params": {"ef": ef}},
            consistency_level=_STRONG,
        )
        return [[{**hit["entity"], schema.KEY: hit[schema.KEY]} for hit in hits] for hits in found]

    def _query(self, name: str, where: str, fields: list[str], **options: Any) -> list[Row]:
        found = self._ask(
            name,
            self._client.query,
            filter=where,
            output_fields=fields,
            consistency_level=_STRONG,
            **options,
        )
        return list(found)

    def _ask(self, name: str, call: Callable[..., Any], **options: Any) -> Any:
        """Call with a collection, which is loaded if it is not: it may lie idle since a restart."""
        with self._errors():
            try:
                return call(name, timeout=self._timeout_s, **options)
            except self._library.MilvusException as error:
                if error.code != _NOT_LOADED:
                    raise
                self._client.load_collection(name, timeout=self._timeout_s)
                return call(name, timeout=self._timeout_s, **options)

    def _schema(self, dimension: int) -> Any:
        types = self._library.DataType
        made = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        long = {"datatype": types.VARCHAR, "max_length": schema.MAX_TEXT_BYTES}
        made.add_field(schema.KEY, types.VARCHAR, is_primary=True, max_length=schema.MAX_KEY_BYTES)
        made.add_field(schema.STATE, types.INT8)
        made.add_field(schema.PLACE, types.INT64)
        made.add_field(schema.DOCUMENT, types.VARCHAR, max_length=schema.MAX_KEY_BYTES)
        made.add_field(schema.TEXT, nullable=True, **long)
        made.add_field(schema.BODY, **long)
        made.add_field(schema.POSITION, nullable=True, **long)
        made.add_field(schema.FACTS, types.JSON)
        made.add_field(schema.VECTOR, types.FLOAT_VECTOR, dim=dimension)
        return made

    def _errors(self) -> AbstractContextManager[None]:
        return milvus_errors(self._library)


def _pymilvus() -> Any:
    try:
        import pymilvus
    except ImportError as error:
        raise FailedPreconditionError(
            "the index in Milvus needs pymilvus, which is not installed: "
            "pip install 'groundwire[milvus]'",
            reason="PYMILVUS_NOT_INSTALLED",
        ) from error
    # It logs what it raises, with a traceback; the error tells it too.
    for name in ("pymilvus", "pymilvus.milvus_client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus
