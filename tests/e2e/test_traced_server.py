"""A whole server that is told where traces go."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc
import pytest
from groundwire.v1.embed_service_pb2 import EmbedInput, EmbedRequest
from groundwire.v1.embed_service_pb2_grpc import EmbedServiceStub
from groundwire.v1.record_pb2 import Record
from groundwire.v1.retrieve_service_pb2 import (
    CreateCollectionRequest,
    SearchRequest,
    UpsertRequest,
)
from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceStub
from groundwire_index.errors import FailedPreconditionError
from groundwire_server import app
from groundwire_server.settings import Settings

from tests.collector import collecting
from tests.e2e.serving import ServerProcess

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)


async def test_what_was_traced_is_sent_before_the_server_ends(tmp_path: Path) -> None:
    async with collecting() as collector:
        process = ServerProcess(tmp_path / "data", "--trace-endpoint", collector.url)
        try:
            await asyncio.to_thread(process.start)
            async with grpc.aio.insecure_channel(process.address) as channel:
                inputs = [EmbedInput(text="a"), EmbedInput(text="b")]
                await EmbedServiceStub(channel).Embed(EmbedRequest(inputs=inputs), metadata=TRACED)
                retrieve = RetrieveServiceStub(channel)
                await retrieve.CreateCollection(CreateCollectionRequest(name="c"))
                records = [Record(id="a", text="some words")]
                await retrieve.Upsert(UpsertRequest(collection="c", records=records))
                search = SearchRequest(collection="c", text="words")
                await retrieve.Search(search, metadata=TRACED)
            assert await asyncio.to_thread(process.stop) == 0
        finally:
            await asyncio.to_thread(process.kill)
    assert sorted(name for name in collector.names if "/" in name) == [
        "groundwire.v1.EmbedService/Embed",
        "groundwire.v1.RetrieveService/CreateCollection",
        "groundwire.v1.RetrieveService/Search",
        "groundwire.v1.RetrieveService/Upsert",
    ]
    embed = collector.span("groundwire.v1.EmbedService/Embed")
    search_span = collector.span("groundwire.v1.RetrieveService/Search")
    assert embed.trace_id == search_span.trace_id == TRACE
    assert collector.children(embed) == ["embed"]
    upsert = collector.span("groundwire.v1.RetrieveService/Upsert")
    assert collector.children(upsert) == ["embed"]
    assert collector.children(search_span) == ["embed", "retrieve"]
    assert "Traceback" not in process.log


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    monkeypatch.delitem(sys.modules, "groundwire_server.observability.otel", raising=False)
    with pytest.raises(FailedPreconditionError, match=r"pip install 'groundwire\[otel\]'"):
        app.server(Settings(trace_endpoint="http://localhost:4317"))
