"""Who waits for whom at the embedder: what is stored, for what someone waits for."""

from __future__ import annotations

from groundwire.v1 import record_pb2
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_server.embedders.embedder import Priority

from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import Served


async def test_what_is_stored_is_embedded_after_what_is_asked(
    served: Served, embedder: LettersEmbedder
) -> None:
    await served.create()

    await served.upsert(record_pb2.Record(id="1", text="dome"))
    streamed = record_pb2.Record(id="2", text="slit")
    await served.stub.UpsertStream(
        iter([pb.UpsertStreamRequest(collection="c", records=[streamed])])
    )
    await served.result(b"The dome opens at dusk.", collection="c", filename="a.txt")
    await served.stub.Search(pb.SearchRequest(collection="c", text="dusk"))

    *stored, asked = embedder.priorities
    assert len(stored) == 3
    assert set(stored) == {Priority.INGESTION}
    assert asked is Priority.INTERACTIVE
