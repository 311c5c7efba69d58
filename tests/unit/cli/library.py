"""A small server for the commands to talk to: it remembers, and answers by a script."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from google.protobuf import duration_pb2
from groundwire.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    collection_pb2,
    generate_service_pb2,
    generate_service_pb2_grpc,
    generation_pb2,
    memory_service_pb2,
    memory_service_pb2_grpc,
    record_pb2,
    retrieve_service_pb2,
    retrieve_service_pb2_grpc,
    session_pb2,
)

from tests.unit.client.scripted import failure

TEXT = (
    "The dome opens at dusk. It closes at dawn, or as soon as the wind reaches 18 metres per "
    "second, whichever comes first."
)
# Of the chunk after it, which repeats how this one ends.
NEXT_TEXT = f"{TEXT.partition('. ')[2]} The lamps are red."
PASSAGE = generation_pb2.Passage(
    number=1, chunk_id="c1", document_id="guide.pdf", title="Guide", text=TEXT, page=3
)
ANSWER = "The dome opens at dusk [1]."


class Library(retrieve_service_pb2_grpc.RetrieveServiceServicer):
    """Collections by name, and the documents that were sent."""

    def __init__(self, *collections: str) -> None:
        self.collections = dict.fromkeys(collections, 7)
        self.vector_types: dict[str, collection_pb2.VectorType] = {}
        self.documents: dict[str, bytes] = {}
        self.searches: list[retrieve_service_pb2.SearchRequest] = []

    def GetCollection(self, request, context):  # noqa: N802
        self._require(request.name, context)
        return retrieve_service_pb2.GetCollectionResponse(collection=self._described(request.name))

    def ListCollections(self, request, context):  # noqa: N802
        return retrieve_service_pb2.ListCollectionsResponse(
            collections=[self._described(name) for name in sorted(self.collections)]
        )

    def CreateCollection(self, request, context):  # noqa: N802
        self.collections[request.name] = 0
        self.vector_types[request.name] = request.vector_type
        return retrieve_service_pb2.CreateCollectionResponse(
            collection=self._described(request.name)
        )

    def DeleteCollection(self, request, context):  # noqa: N802
        self._require(request.name, context)
        return retrieve_service_pb2.DeleteCollectionResponse(
            records=self.collections.pop(request.name)
        )

    def Search(self, request, context):  # noqa: N802
        self._require(request.collection, context)
        self.searches.append(request)
        if request.text == "nothing":
            return retrieve_service_pb2.SearchResponse()
        position = record_pb2.ChunkPosition(page=3, headings=["Domes", "Hours"])
        record = record_pb2.Record(id="c1", document_id="guide.pdf", text=TEXT, position=position)
        return retrieve_service_pb2.SearchResponse(
            hits=[retrieve_service_pb2.Hit(id="c1", score=0.5, record=record)],
            plan=retrieve_service_pb2.SearchPlan(strategy="exact"),
        )

    def Get(self, request, context):  # noqa: N802
        records = {
            name: record_pb2.Record(id=name, text=text)
            for name, text in (("c1", TEXT), ("c2", NEXT_TEXT))
        }
        return retrieve_service_pb2.GetResponse(
            results=[
                retrieve_service_pb2.GetResult(id=name, record=records.get(name))
                for name in request.ids
            ]
        )

    def IngestDocument(self, requests, context) -> Iterator:  # noqa: N802
        header = next(requests).header
        data = b"".join(request.data for request in requests)
        if data == b"damaged":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "data: the file is damaged")
        if header.create_collection:
            self.collections.setdefault(header.collection, 0)
        self._require(header.collection, context)
        known = self.documents.get(header.document_id)
        self.documents[header.document_id] = data
        for stage in (1, 2, 3, 4, 4, 5, 6):
            yield retrieve_service_pb2.IngestDocumentResponse(
                progress=retrieve_service_pb2.IngestProgress(stage=stage, done=1, total=2)
            )
        yield retrieve_service_pb2.IngestDocumentResponse(
            result=retrieve_service_pb2.IngestResult(
                chunks=2,
                replaced=known is not None and known != data,
                skipped=known == data and not header.force,
            )
        )

    def _require(self, name: str, context) -> None:
        if name not in self.collections:
            context.abort_with_status(
                failure(
                    grpc.StatusCode.NOT_FOUND,
                    f'there is no collection "{name}"',
                    reason="NOT_FOUND",
                )
            )

    def _described(self, name: str) -> collection_pb2.Collection:
        return collection_pb2.Collection(
            name=name,
            dimension=384,
            counts=collection_pb2.CollectionCounts(records=self.collections[name]),
            vector_type=self.vector_types.get(name) or collection_pb2.VECTOR_TYPE_FLOAT32,
        )


class Oracle(generate_service_pb2_grpc.GenerateServiceServicer):
    """Answers every question alike; "break" breaks off, "unknown" finds nothing."""

    def __init__(self) -> None:
        self.requests: list[generate_service_pb2.GenerateRequest] = []

    def Generate(self, request, context) -> Iterator:  # noqa: N802
        self.requests.append(request)
        respond = generate_service_pb2.GenerateResponse
        yield respond(started=generate_service_pb2.Started(request_id="r", model="m", engine="e"))
        asked = request.chat.messages[-1].content
        if asked == "unknown":
            reason = generation_pb2.FINISH_REASON_NO_SOURCES
            yield respond(finished=generation_pb2.Finished(finish_reason=reason))
            return
        yield respond(sources=generate_service_pb2.Sources(passages=[PASSAGE]))
        if asked == "break":
            context.abort_with_status(
                failure(grpc.StatusCode.UNAVAILABLE, "the engine is down", reason="ENGINE_DOWN")
            )
        for word in ANSWER.split(" "):
            text = word if word == "[1]." else word + " "
            yield respond(text_delta=generate_service_pb2.TextDelta(text=text, token_count=1))
        yield respond(
            citation=generation_pb2.Citation(
                source=1, answer_start=0, answer_end=22, source_start=0, source_end=23
            )
        )
        yield respond(
            finished=generation_pb2.Finished(
                finish_reason=generation_pb2.FINISH_REASON_STOP,
                confidence=0.9,
                # As if everything had been asked before that may be answered so.
                cache=request.cache and request.cache - 1,
            )
        )


class Admin(admin_service_pb2_grpc.AdminServiceServicer):
    """Ends no request, because none runs, and has cached this and that; what was used is two
    days, each on a page.
    """

    def __init__(self) -> None:
        self.aborted: list[str] = []
        self.asked: list[admin_service_pb2.GetUsageRequest] = []
        self.days = [
            admin_service_pb2.UsageDay(
                date="2026-01-30",
                subject="ada",
                model="phi",
                requests=1200,
                errors=3,
                prompt_tokens=19_806,
                completion_tokens=2411,
                average_latency=duration_pb2.Duration(seconds=1, nanos=420_000_000),
                p95_latency=duration_pb2.Duration(nanos=15_000_000),
                average_confidence=0.81,
                cache_hits=23,
            ),
            admin_service_pb2.UsageDay(date="2026-01-30", other_subjects=True, requests=1),
        ]
        self.cached = 1234

    def Abort(self, request, context):  # noqa: N802
        self.aborted.append(request.request_id)
        context.abort(grpc.StatusCode.NOT_FOUND, "no such request is running")
        return admin_service_pb2.AbortResponse()

    def GetUsage(self, request, context):  # noqa: N802
        self.asked.append(request)
        at = int(request.cursor or 0)
        more = at + 1 < len(self.days)
        return admin_service_pb2.GetUsageResponse(
            days=self.days[at : at + 1], next_cursor=str(at + 1) if more else ""
        )

    def GetCacheStats(self, request, context):  # noqa: N802
        stats = admin_service_pb2.CacheStats
        answers = stats(
            cache="answer", entries=self.cached, hits=3, semantic_hits=2, shared=1, misses=2
        )
        return admin_service_pb2.GetCacheStatsResponse(caches=[answers, stats(cache="embedding")])

    def ClearCache(self, request, context):  # noqa: N802
        gone, self.cached = self.cached, 0
        return admin_service_pb2.ClearCacheResponse(entries=gone)


class Sessions(memory_service_pb2_grpc.MemoryServiceServicer):
    """A session and a fork of it, and one made after the other."""

    def __init__(self) -> None:
        self.made = 0
        parent = session_pb2.SessionParent(session_id="earlier", turn=2)
        self.stored = {
            "branch": session_pb2.Session(id="branch", head=2, turn_count=2, parent=parent),
            "earlier": session_pb2.Session(
                id="earlier", title="First light", head=2, turn_count=2, token_count=6
            ),
        }
        self.forked: list[memory_service_pb2.ForkSessionRequest] = []

    def CreateSession(self, request, context):  # noqa: N802
        self.made += 1
        return memory_service_pb2.CreateSessionResponse(
            session=session_pb2.Session(id=f"s{self.made}")
        )

    def GetSession(self, request, context):  # noqa: N802
        return memory_service_pb2.GetSessionResponse(
            session=self._found(request.session_id, context)
        )

    def ListSessions(self, request, context):  # noqa: N802
        return memory_service_pb2.ListSessionsResponse(
            sessions=self.stored.values(), removed_sessions=3
        )

    def ForkSession(self, request, context):  # noqa: N802
        parent = self._found(request.session_id, context)
        if request.at_turn > parent.head:
            context.abort(grpc.StatusCode.OUT_OF_RANGE, f"there is no turn {request.at_turn}")
        self.forked.append(request)
        made = session_pb2.Session(
            id=request.new_session_id or f"fork{len(self.forked)}", head=request.at_turn
        )
        self.stored[made.id] = made
        return memory_service_pb2.ForkSessionResponse(session=made)

    def ListForks(self, request, context):  # noqa: N802
        return memory_service_pb2.ListForksResponse(
            sessions=[
                one for one in self.stored.values() if one.parent.session_id == request.session_id
            ]
        )

    def GetThread(self, request, context):  # noqa: N802
        return memory_service_pb2.GetThreadResponse(
            sessions=[self.stored["earlier"], self.stored["branch"]]
        )

    def GetSessionStats(self, request, context):  # noqa: N802
        return memory_service_pb2.GetSessionStatsResponse(
            turns=2,
            tokens=6,
            average_latency=duration_pb2.Duration(seconds=1, nanos=500_000_000),
            average_confidence=0.75,
            answers_by_model={"small": 1},
        )

    def BuildContext(self, request, context):  # noqa: N802
        self._found(request.session_id, context)
        pb = memory_service_pb2
        item, system = pb.ContextItem, generation_pb2.ROLE_SYSTEM
        return pb.BuildContextResponse(
            messages=[generation_pb2.Message(role=system, content="Summary: [so] it is.")],
            report=pb.ContextReport(
                included=[
                    item(
                        kind=pb.CONTEXT_ITEM_KIND_SUMMARY, first_turn=1, last_turn=40, tokens=1234
                    ),
                    item(kind=pb.CONTEXT_ITEM_KIND_MEMORY, memory_ids=["m1", "m2"], tokens=9),
                    item(kind=pb.CONTEXT_ITEM_KIND_QUERY, tokens=len(request.query.split())),
                ],
                dropped=[
                    item(
                        kind=pb.CONTEXT_ITEM_KIND_TURN,
                        first_turn=1,
                        last_turn=38,
                        tokens=5,
                        why=pb.DROP_REASON_BUDGET,
                    )
                ],
                tokens=1250,
                budget_tokens=request.budget_tokens,
                head=41,
            ),
        )

    def ListMessages(self, request, context):  # noqa: N802
        question = session_pb2.Turn(
            number=1, role=generation_pb2.ROLE_USER, content="When does it open?"
        )
        answer = session_pb2.Turn(
            number=2,
            role=generation_pb2.ROLE_ASSISTANT,
            content="At dusk.",
            answer=session_pb2.TurnAnswer(model="small"),
        )
        return memory_service_pb2.ListMessagesResponse(turns=[question, answer], head=2)

    def DeleteSession(self, request, context):  # noqa: N802
        gone = self.stored.pop(request.session_id)
        return memory_service_pb2.DeleteSessionResponse(turns=gone.head)

    def _found(self, session_id, context):
        if session_id not in self.stored:
            context.abort(grpc.StatusCode.NOT_FOUND, f'there is no session "{session_id}"')
        return self.stored[session_id]
