"""Writing any number of records in one call."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable

from groundwire.call import ClientStream
from groundwire.messages import Messages
from groundwire.requests.keys import idempotency_key as key
from groundwire.requests.records import record_message
from groundwire.results.records import Record, Written, written
from groundwire.v1 import retrieve_service_pb2 as pb

_MOST_RECORDS = 1000
_ENOUGH_BYTES = 4 * 2**20


def upsert_stream(
    collection: str,
    records: Iterable[Record] | AsyncIterable[Record],
    *,
    embedding_model: str = "",
    idempotency_key: str = "",
    timeout: float | None = None,
) -> ClientStream[Written]:
    """Write any number of records by id, as they come; a known id is replaced whole.

    They go out in pieces of 1,000, each of which is written all or none; no more than a few are
    in memory at a time, here or there. If one is refused, or ``records`` raises, those before it
    are stored: the error's ``metadata["records_stored"]`` says how many. With an
    ``idempotency_key`` the same records in the same order can be sent again, within a day, and
    what was stored is not written twice. ``timeout`` is the seconds during which nothing moves.
    """
    batch = Pieces(collection, embedding_model, key(idempotency_key))
    return ClientStream(
        "/groundwire.v1.RetrieveService/UpsertStream",
        Messages(records, batch),
        pb.UpsertStreamResponse.FromString,
        written,
        timeout,
    )


class Pieces:
    """Gathers records into messages of a good size, each with an idempotency key of its own."""

    def __init__(self, collection: str, embedding_model: str, idempotency_key: str) -> None:
        self._collection = collection
        self._embedding_model = embedding_model
        self._key = idempotency_key
        self._number = 0
        self._begin()

    def add(self, record: Record) -> pb.UpsertStreamRequest | None:
        """Take a record; the message that is full now, if one is."""
        message = record_message(record)
        self._message.records.append(message)
        self._bytes += message.ByteSize()
        full = len(self._message.records) >= _MOST_RECORDS or self._bytes >= _ENOUGH_BYTES
        return self._taken() if full else None

    def last(self) -> pb.UpsertStreamRequest | None:
        """What is left. The first message names the collection, even if there are no records."""
        return self._taken() if self._message.records or not self._number else None

    def _taken(self) -> pb.UpsertStreamRequest:
        taken = self._message
        self._number += 1
        self._begin()
        return taken

    def _begin(self) -> None:
        self._bytes = 0
        self._message = pb.UpsertStreamRequest(
            collection=self._collection,
            idempotency_key=f"{self._key}/{self._number}",
            embedding_model=self._embedding_model,
        )
