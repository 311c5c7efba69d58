"""Files in, searchable chunks out: parse, chunk, embed, store, each file all or nothing."""

from groundwire_server.ingestion.destination import Destination, NewCollection
from groundwire_server.ingestion.document_ingest import DocumentIngest
from groundwire_server.ingestion.events import Ingested, IngestEvent, Progress, Stage
from groundwire_server.ingestion.request import IngestRequest

__all__ = [
    "Destination",
    "DocumentIngest",
    "IngestEvent",
    "IngestRequest",
    "Ingested",
    "NewCollection",
    "Progress",
    "Stage",
]
