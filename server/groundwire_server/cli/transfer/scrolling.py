"""Every record of a collection, from one state of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundwire import Client, Record
from groundwire.errors import ResourceExhaustedError
from groundwire.requests.records import scroll

PAGE = 1000


def scrolled(client: Client, collection: str) -> Iterator[Sequence[Record]]:
    """All records in full, in order of first insertion, as they were when the first was read.

    Pages become smaller where records are so large that the server cannot send as many in
    one message.
    """
    cursor, size, ended = "", PAGE, False
    while not ended:
        asked = scroll(collection, include=("text", "metadata", "vector"), page_size=size)
        try:
            page = client.transport.unary(asked.page(cursor))
        except ResourceExhaustedError:
            if size == 1:
                raise
            size //= 2
            continue
        yield page.items
        cursor, ended = page.next_cursor, not page.next_cursor
