"""A tenant learns nothing of another: what it is told of its names is what it is told of nobody's.

Two tenants that have the same call everything there is, in the same order: one with the names of
a third, one with names that nobody has. Whatever they are told has to be the same, to the byte.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import grpc
import pytest
from groundwire.v1 import admin_service_pb2 as admin
from groundwire.v1 import embed_service_pb2 as embed
from groundwire.v1 import retrieve_service_pb2 as retrieve
from groundwire_server.services.cursors import cursor_after
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.e2e.isolation.calling import METHODS, Caller
from tests.e2e.isolation.cases import CASES, READS
from tests.e2e.isolation.names import Names
from tests.e2e.isolation.settling import Shape, settle, take_some
from tests.whole_server import whole_server

UNEXPECTED = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE)
BY_NAME = "RetrieveService/ListCollections"
shapes = st.builds(
    Shape,
    turns=st.integers(1, 3),
    records=st.integers(1, 3),
    is_answered=st.booleans(),
    is_superseded=st.booleans(),
)


@pytest.fixture(scope="session")
async def channel(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[grpc.aio.Channel]:
    running = whole_server(tmp_path_factory.mktemp("isolation") / "data")
    async with running as server, grpc.aio.insecure_channel(server.address) as made:
        yield made


def tenant(name: str) -> str:
    return f"{name}-{uuid4().hex[:12]}"


def test_every_rpc_is_tried() -> None:
    assert set(CASES) == set(METHODS)


@settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.generate],
)
@given(shape=shapes, order=st.permutations(sorted(CASES)), has_own=st.booleans())
async def test_names_of_another_tenant_are_as_names_of_nobody(
    channel: grpc.aio.Channel, shape: Shape, order: Sequence[str], has_own: bool
) -> None:
    secret, subject = f"secret-{uuid4().hex}", f"ada-{uuid4().hex[:12]}"
    victim = Caller(channel, tenant("victim"), subject)
    theirs = await settle(victim, shape, secret)
    others = Caller(channel, tenant("others"), subject)
    cursors = (await settle(others, shape, secret)).cursors
    nobodys = theirs.nobodys(cursors)
    # It is a name, after which come what whoever tries has called so.
    nobodys.cursors[BY_NAME] = cursor_after(nobodys.collection)
    before = await seen_by(victim, theirs)
    assert sum(secret.encode() in told for told in before.values()) > len(READS) / 2

    # Their names are of one length, and are told apart from one another no more than the names.
    mallory, trudy = (Caller(channel, tenant(name), "m") for name in ("mallory", "truudyy"))
    for caller in (mallory, trudy):
        if has_own:
            await take_some(caller)
    for name in order:
        for theirs_try, nobodys_try in zip(CASES[name](theirs), CASES[name](nobodys), strict=True):
            told = await mallory.call(name, *theirs_try)
            expected = await trudy.call(name, *nobodys_try)
            assert told.code not in UNEXPECTED, (name, told)
            assert secret.encode() not in told.comparable, name
            assert mallory.blanked(theirs.blanked(told.comparable)) == trudy.blanked(
                nobodys.blanked(expected.comparable)
            ), (name, theirs_try)
    assert await seen_by(victim, theirs) == before


async def seen_by(caller: Caller, names: Names) -> dict[str, bytes]:
    """All that can be read with these names."""
    found = {name: await caller.call(name, *CASES[name](names)[0]) for name in READS}
    for name, outcome in found.items():
        assert outcome.code is grpc.StatusCode.OK, (name, outcome)
    return {name: outcome.comparable for name, outcome in found.items()}


async def test_a_cache_gives_a_tenant_nothing_that_another_has_put_there(
    channel: grpc.aio.Channel,
) -> None:
    texts = embed.EmbedRequest(inputs=[{"text": f"A text with {uuid4()} in it"}])
    first, second = (Caller(channel, tenant(name)) for name in ("first", "second"))
    for caller, hits in ((first, 0), (first, 1), (second, 0), (second, 1)):
        await caller.call("EmbedService/Embed", texts)
        used = await caller.call("AdminService/GetUsage", admin.GetUsageRequest())
        assert [day.cache_hits for day in used.responses[0].days] == [hits], caller


async def test_the_same_names_in_two_tenants_are_two_things(channel: grpc.aio.Channel) -> None:
    """All of one tenant's names, taken by another: each sees its own texts, and none else."""
    shape, suffix = Shape(2, 2, is_answered=True, is_superseded=True), uuid4().hex[:12]
    first, second = (Caller(channel, tenant(name), "ada") for name in ("first", "second"))
    names = await settle(first, shape, "secret-one", suffix)
    before = await seen_by(first, names)
    same = await settle(second, shape, "secret-two", suffix)
    assert same.collection == names.collection
    assert await seen_by(first, names) == before
    search = retrieve.SearchRequest(collection=names.collection, text="secret")
    found = await second.call("RetrieveService/Search", search)
    assert b"secret-two" in found.comparable
    assert b"secret-one" not in found.comparable
