"""A collection that is there for one evaluation."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from groundwire import Client, Record
from groundwire.results.collections import VectorType

from groundwire_server.cli.evaluation.dataset import Document

# Texts that one write embeds: little enough to be done long before a call has to be.
MOST_TEXTS = 64
MOST_CHARACTERS = 2**20


@contextmanager
def filled(
    client: Client,
    documents: Iterable[Document],
    on_stored: Callable[[int], None],
    vector_type: VectorType | None = None,
) -> Iterator[str]:
    """Store documents in a collection of their own; its name. It is removed at the end.

    ``on_stored`` is told how many more are stored.
    """
    name = f"evaluation-{uuid.uuid4().hex[:12]}"
    client.retrieve.create_collection(
        name, description="Made by groundwire eval; goes with it.", vector_type=vector_type
    )
    try:
        for batch in _batches(documents):
            client.retrieve.upsert(name, batch)
            on_stored(len(batch))
        yield name
    finally:
        client.retrieve.delete_collection(name)


def _batches(documents: Iterable[Document]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    characters = 0
    for document in documents:
        if batch and (
            len(batch) == MOST_TEXTS or characters + len(document.text) > MOST_CHARACTERS
        ):
            yield batch
            batch, characters = [], 0
        batch.append(Record(document.id, text=document.text))
        characters += len(document.text)
    if batch:
        yield batch
