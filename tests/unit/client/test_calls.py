"""Deadlines, identity, and what goes on the wire."""

from __future__ import annotations

import math
from array import array

import groundwire
import pytest
from groundwire.errors import DeadlineExceededError
from groundwire.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    collection_pb2,
    generate_service_pb2,
    generate_service_pb2_grpc,
    memory_service_pb2,
    memory_service_pb2_grpc,
    retrieve_service_pb2,
    retrieve_service_pb2_grpc,
    session_pb2,
)

from tests.patience import PATIENCE_S
from tests.unit.client.scripted import Flag, serving


class Observed(admin_service_pb2_grpc.AdminServiceServicer):
    """Remembers how it was called."""

    def __init__(self) -> None:
        self.remaining: float | None = None
        self.metadata: dict[str, str] = {}

    def GetServerInfo(self, request, context):  # noqa: N802
        self.remaining = context.time_remaining()
        self.metadata = dict(context.invocation_metadata())
        return admin_service_pb2.GetServerInfoResponse(
            version="1.2.3",
            components=[
                admin_service_pb2.Component(
                    name="index", state=admin_service_pb2.COMPONENT_STATE_READY
                )
            ],
        )


class Silent(admin_service_pb2_grpc.AdminServiceServicer):
    """Answers when the caller has given up."""

    def GetServerInfo(self, request, context):  # noqa: N802
        gone = Flag()
        context.add_callback(gone.set)
        gone.wait(PATIENCE_S)
        return admin_service_pb2.GetServerInfoResponse()


class Patient(generate_service_pb2_grpc.GenerateServiceServicer):
    def __init__(self) -> None:
        self.remaining = 0.0
        self.request = generate_service_pb2.GenerateRequest()

    def Complete(self, request, context):  # noqa: N802
        self.remaining = context.time_remaining()
        self.request = request.request
        return generate_service_pb2.CompleteResponse(text="done")


class Remembering(retrieve_service_pb2_grpc.RetrieveServiceServicer):
    """Keeps the last request of each kind; lists three collections, two to a page."""

    def __init__(self) -> None:
        self.search = retrieve_service_pb2.SearchRequest()
        self.cursors: list[str] = []

    def Search(self, request, context):  # noqa: N802
        self.search = request
        return retrieve_service_pb2.SearchResponse()

    def ListCollections(self, request, context):  # noqa: N802
        self.cursors.append(request.cursor)
        names, following = (("a", "b"), "more") if not request.cursor else (("c",), "")
        return retrieve_service_pb2.ListCollectionsResponse(
            collections=[collection_pb2.Collection(name=name) for name in names],
            next_cursor=following,
        )


class Talkative(memory_service_pb2_grpc.MemoryServiceServicer):
    """Five turns, two to a page."""

    def ListMessages(self, request, context):  # noqa: N802
        last = min(request.after + 2, 5)
        return memory_service_pb2.ListMessagesResponse(
            turns=[
                session_pb2.Turn(number=number, role=1 + number % 2)
                for number in range(request.after + 1, last + 1)
            ],
            next_after=last if last < 5 else 0,
            head=5,
        )


async def test_a_call_takes_the_timeout_of_its_client(ask) -> None:
    with serving(server := Observed()) as address:
        await ask(address, lambda client: client.admin.server_info(), timeout=100.0)
    assert 90 < server.remaining <= 101


async def test_a_call_takes_its_own_timeout_first(ask) -> None:
    with serving(server := Observed()) as address:
        await ask(address, lambda client: client.admin.server_info(timeout=50.0), timeout=100.0)
    assert 40 < server.remaining <= 51


async def test_an_infinite_timeout_is_no_deadline(ask) -> None:
    with serving(server := Observed()) as address:
        await ask(address, lambda client: client.admin.server_info(timeout=math.inf))
    assert server.remaining is None or server.remaining > 1e6


async def test_what_generates_takes_the_longer_timeout(ask) -> None:
    with serving(server := Patient()) as address:
        await ask(address, lambda client: client.complete("Hi"), generation_timeout=200.0)
    assert 190 < server.remaining <= 201


async def test_a_call_past_its_deadline_raises(ask) -> None:
    with serving(Silent()) as address, pytest.raises(DeadlineExceededError):
        await ask(address, lambda client: client.admin.server_info(timeout=0.05))


async def test_identity_and_metadata_go_with_every_call(ask) -> None:
    with serving(server := Observed()) as address:
        await ask(
            address,
            lambda client: client.admin.server_info(),
            tenant="acme",
            subject="ada",
            metadata={"x-trace": "7"},
        )
    assert server.metadata["groundwire-tenant"] == "acme"
    assert server.metadata["groundwire-subject"] == "ada"
    assert server.metadata["x-trace"] == "7"
    assert "groundwire-python" in server.metadata["user-agent"]


async def test_without_identity_none_is_sent(ask) -> None:
    with serving(server := Observed()) as address:
        await ask(address, lambda client: client.admin.server_info())
    assert not [key for key in server.metadata if key.startswith("groundwire-")]


async def test_answers_are_dataclasses(ask) -> None:
    with serving(Observed()) as address:
        info = await ask(address, lambda client: client.admin.server_info())
    assert info.version == "1.2.3"
    assert info.components[0].state == "ready"
    assert info.start_time is None


async def test_pages_are_fetched_as_they_are_needed(ask) -> None:
    with serving(server := Remembering()) as address:
        found = await ask(address, lambda client: client.retrieve.list_collections())
    assert [collection.name for collection in found] == ["a", "b", "c"]
    assert server.cursors == ["", "more"]


async def test_turns_are_paged_by_number(ask) -> None:
    with serving(Talkative()) as address:
        turns = await ask(address, lambda client: client.memory.messages("s", after=1))
    assert [turn.number for turn in turns] == [2, 3, 4, 5]
    assert [turn.role for turn in turns] == ["system", "user", "system", "user"]


async def test_a_search_says_everything_it_was_told(ask) -> None:
    with serving(server := Remembering()) as address:
        await ask(
            address,
            lambda client: client.retrieve.search(
                "papers",
                "dark matter",
                top_k=3,
                mode="hybrid",
                filter=groundwire.where("year").gte(2020),
                fusion=groundwire.WeightedSum(0.25),
                min_score=0.5,
                include=("vector",),
                at_least_sequence=9,
                exact=True,
                embedding_model="m",
            ),
        )
    sent = server.search
    assert (sent.collection, sent.text, sent.top_k) == ("papers", "dark matter", 3)
    assert sent.mode == retrieve_service_pb2.SEARCH_MODE_HYBRID
    assert sent.filter.condition.gte.number_value == 2020
    assert sent.fusion.weighted_sum.dense_weight == 0.25
    assert sent.min_score == 0.5
    assert (sent.include.text, sent.include.metadata, sent.include.vector) == (False, False, True)
    assert sent.consistency.at_least_sequence == 9
    assert sent.parameters.exact
    assert sent.embedding_model == "m"


async def test_what_a_search_is_not_told_is_left_to_the_server(ask) -> None:
    with serving(server := Remembering()) as address:
        await ask(address, lambda client: client.retrieve.search("papers", array("f", [1, 2])))
    sent = server.search
    assert sent.vector.f32le == array("f", [1, 2]).tobytes()
    assert not sent.HasField("top_k")
    assert not sent.HasField("min_score")
    assert not sent.HasField("filter")
    assert not sent.HasField("fusion")
    assert sent.mode == retrieve_service_pb2.SEARCH_MODE_UNSPECIFIED


async def test_a_search_may_start_from_a_record(ask) -> None:
    with serving(server := Remembering()) as address:
        await ask(address, lambda client: client.retrieve.search("papers", groundwire.Like("p1")))
    assert server.search.record_id == "p1"


async def test_a_generation_says_everything_it_was_told(ask) -> None:
    tool = groundwire.Tool("clock", "The time.", {"type": "object"})
    with serving(server := Patient()) as address:
        await ask(
            address,
            lambda client: client.complete(
                [groundwire.Message("system", "Be brief."), groundwire.Message("user", "Hi")],
                model="m",
                sampling=groundwire.Sampling(temperature=0.0, max_tokens=5, stop=("\n",)),
                constraint=groundwire.JsonSchema({"type": "object"}),
                tools=[tool],
                tool_choice=tool,
                grounding=groundwire.Grounding("papers", top_k=2, mode="lexical"),
                session_id="s",
                request_id="r",
                priority=-1,
            ),
        )
    sent = server.request
    assert [message.content for message in sent.chat.messages] == ["Be brief.", "Hi"]
    assert sent.sampling.HasField("temperature")
    assert not sent.sampling.HasField("top_p")
    assert (sent.sampling.max_tokens, list(sent.sampling.stop)) == (5, ["\n"])
    assert sent.constraint.json_schema == '{"type": "object"}'
    assert sent.tools[0].parameters.fields["type"].string_value == "object"
    assert sent.tool_choice.name == "clock"
    assert (sent.grounding.collection, sent.grounding.top_k) == ("papers", 2)
    assert sent.grounding.mode == retrieve_service_pb2.SEARCH_MODE_LEXICAL
    assert (sent.session_id, sent.request_id, sent.priority, sent.model) == ("s", "r", -1, "m")


async def test_a_prompt_is_sent_without_a_chat(ask) -> None:
    with serving(server := Patient()) as address:
        await ask(address, lambda client: client.complete(prompt="Once upon"))
    assert server.request.WhichOneof("input") == "prompt"
    assert not server.request.HasField("grounding")


async def test_what_is_empty_is_sent_for_the_server_to_judge(ask) -> None:
    with serving(server := Patient()) as address:
        await ask(address, lambda client: client.complete(""))
        assert [one.content for one in server.request.chat.messages] == [""]
        await ask(address, lambda client: client.complete([]))
        assert server.request.WhichOneof("input") == "chat"
        await ask(address, lambda client: client.complete(prompt=""))
        assert server.request.WhichOneof("input") == "prompt"


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda client: client.complete("Hi", max_tokens=5), r"Sampling\(max_tokens=...\)"),
        (lambda client: client.complete("Hi", groundin="papers"), "'grounding'"),
        (lambda client: client.generate("Hi", zzz=1), "session_id"),
        (lambda client: client.retrieve.search("c", "dusk", topk=3), "'top_k'"),
        (lambda client: client.retrieve.search_batch("c", ["dusk"], limit=3), "top_k"),
    ],
)
def test_an_option_that_there_is_not_is_an_error(call, advice: str) -> None:
    with (
        groundwire.Client("127.0.0.1:1") as client,
        pytest.raises(TypeError, match=f"no option here: .*{advice}"),
    ):
        call(client)


@pytest.mark.parametrize("name", ["tenant", "subject"])
@pytest.mark.parametrize("value", ["é", "a b", "a" * 129, "a\n"])
def test_an_identity_that_no_server_takes_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} .* 1 to 128 characters"):
        groundwire.Client("127.0.0.1:1", **{name: value})


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda client: client.complete(), "messages or a prompt"),
        (lambda client: client.complete("Hi", prompt="Hi"), "messages or a prompt"),
        (lambda client: client.retrieve.search("c", "q", mode="fuzzy"), "dense, lexical, hybrid"),
        (lambda client: client.retrieve.search("c", "q", include=("score",)), "score"),
        (lambda client: client.retrieve.delete("c"), "ids or a filter"),
        (lambda client: client.retrieve.ingest("c", b"bytes"), "filename"),
    ],
)
def test_what_can_never_be_right_is_refused_before_it_is_sent(make, complaint: str) -> None:
    with groundwire.Client("127.0.0.1:1") as client, pytest.raises(ValueError, match=complaint):
        make(client)


def test_one_text_is_not_taken_for_a_list_of_letters() -> None:
    with groundwire.Client("127.0.0.1:1") as client, pytest.raises(TypeError, match="list"):
        client.embed("hello")
