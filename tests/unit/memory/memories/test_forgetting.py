"""What is forgotten is gone with all its versions, once, and a receipt says how much it was."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from groundwire_index.errors import (
    AlreadyExistsError,
    DataLossError,
    GroundwireError,
    UnavailableError,
)
from groundwire_index.purge import RETENTION_S
from groundwire_server.memory.memories.forgetting import Asked, Forgetting
from groundwire_server.memory.memories.memory import (
    Matching,
    MemoryChange,
    MemoryKind,
    OfIds,
    OfSession,
    OfSubject,
    Receipt,
    Source,
    Target,
)
from groundwire_server.memory.memories.partitions import Partitions
from groundwire_server.memory.memories.receipts import AUDIT_LOG, SIGNING_KEY, Receipts
from groundwire_server.memory.memories.store import Memories

from tests.unit.memory.memories.conftest import SUBJECT, TENANT, Clock, Open, Opened

ALL = OfSubject(SUBJECT)


async def forget(opened: Opened, target: Target, key: str = "", tenant: str = TENANT) -> Receipt:
    return await opened.memories.forget(Asked(tenant, SUBJECT, target, key))


def logged(opened: Opened) -> list[dict[str, Any]]:
    log = opened.folder / "memories" / AUDIT_LOG
    return [json.loads(line) for line in log.read_bytes().splitlines()]


async def test_a_memory_goes_with_all_its_versions(opened: Opened) -> None:
    first = await opened.remember("one")
    second = await opened.memories.update(TENANT, first.id, MemoryChange(text="two"))
    third = await opened.memories.update(TENANT, second.id, MemoryChange(text="three"))
    other = await opened.remember("other")
    receipt = await forget(opened, OfIds((second.id, "none")))
    assert receipt.removed == {"memory": 1, "index_row": 3}
    assert await opened.listed(include_superseded=True) == [other]
    assert await opened.texts(as_of=third.create_time) == {"other"}


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (OfSubject("bob"), "fact talk old"),
        (OfSession("talk"), "fact old his"),
        (OfSession("tal"), "fact talk old his"),
        (Matching(kinds=(MemoryKind.FACT,)), "talk"),
        (Matching(subject=SUBJECT, kinds=(MemoryKind.FACT,)), "talk his"),
        (Matching(created_before=datetime(2026, 1, 1, tzinfo=UTC)), "fact talk his"),
        (Matching(created_from=datetime(2026, 1, 1, tzinfo=UTC)), "old"),
        (OfIds(("nothing",)), "fact talk old his"),
    ],
    ids=str,
)
async def test_what_a_target_names_goes_and_no_more(
    opened: Opened, clock: Clock, target: Target, left: str
) -> None:
    now, clock.time = clock.time, datetime(2025, 6, 1, tzinfo=UTC)
    await opened.remember("old")
    clock.time = now
    await opened.remember("fact")
    sources = (Source("else", 1), Source("talk", 2))
    await opened.remember("talk", kind=MemoryKind.EVENT, sources=sources)
    await opened.remember("his", subject="bob")
    await opened.remember("theirs", tenant="other")
    receipt = await forget(opened, target)
    found = await opened.texts() | await opened.texts(subject="bob")
    assert found == set(left.split())
    gone = 4 - len(found)
    assert receipt.removed == {"memory": gone, "index_row": gone}
    assert await opened.texts(tenant="other") == {"theirs"}


async def test_an_updated_memory_keeps_the_session_it_came_from(opened: Opened) -> None:
    held = await opened.remember("one", sources=(Source("talk", 1),))
    await opened.memories.update(TENANT, held.id, MemoryChange(text="two"))
    assert (await forget(opened, OfSession("talk"))).removed["index_row"] == 2


async def test_tenants_forget_their_own(opened: Opened) -> None:
    ours = await opened.remember("ours", sources=(Source("talk", 1),))
    for target in (ALL, OfIds((ours.id,)), OfSession("talk"), Matching(kinds=(ours.kind,))):
        for tenant in ("other", "nobody"):
            assert (await forget(opened, target, tenant=tenant)).removed["index_row"] == 0
        await opened.remember("theirs", tenant="other", subject="bob", kind=MemoryKind.EVENT)
    assert await opened.listed() == [ours]


async def test_a_key_gives_the_first_receipt_again(opening: Open, clock: Clock) -> None:
    with opening() as opened:
        await opened.remember("one")
        first = await forget(opened, ALL, "key")
    clock.advance(days=3)
    with opening() as opened:
        later = await opened.remember("two")
        assert await forget(opened, ALL, "key") == first
        assert await opened.listed() == [later]
        with pytest.raises(AlreadyExistsError):
            await forget(opened, OfSubject("bob"), "key")
        assert (await forget(opened, ALL, "key", tenant="other")).audit_id != first.audit_id
        assert (await forget(opened, ALL)).removed["memory"] == 1


async def test_a_receipt_is_signed_with_a_key_that_nobody_else_reads(opened: Opened) -> None:
    await opened.remember("one")
    receipt = await forget(opened, ALL)
    key = opened.folder / "memories" / SIGNING_KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    signed = (
        f'{{"audit_id":"{receipt.audit_id}","removed":{{"index_row":1,"memory":1}},'
        f'"tenant":"{TENANT}","time":"{receipt.time.isoformat(timespec="microseconds")}"}}'
    )
    expected = hmac.new(key.read_bytes(), signed.encode(), hashlib.sha256).digest()
    assert receipt.signature == expected
    assert opened.receipts.is_genuine(TENANT, receipt)
    for tenant, changed in (
        ("other", receipt),
        (TENANT, replace(receipt, removed={"index_row": 1, "memory": 2})),
        (TENANT, replace(receipt, time=receipt.time + timedelta(seconds=1))),
        (TENANT, replace(receipt, audit_id="0" * 32)),
    ):
        assert not opened.receipts.is_genuine(tenant, changed)


async def test_the_log_says_who_forgot_what_and_not_what_it_said(opened: Opened) -> None:
    await opened.remember("a secret")
    receipt = await forget(opened, ALL)
    begun, done = logged(opened)
    assert (begun["event"], done["event"]) == ("forget_begun", "forgotten")
    for entry in (begun, done):
        assert entry["audit_id"] == receipt.audit_id
        assert (entry["tenant"], entry["subject"]) == (TENANT, SUBJECT)
        assert entry["target"] == {"subject": SUBJECT}
    assert done["removed"] == receipt.removed
    assert done["signature"] == receipt.signature.hex()
    assert "secret" not in (opened.folder / "memories" / AUDIT_LOG).read_text()


class DyingReceipts(Receipts):
    """Dies before an entry, and works again afterwards."""

    dies_before = ""

    def append(self, event: str, audit_id: str, tenant: str, **fields: object) -> None:
        if event == self.dies_before:
            raise GroundwireError("died")
        super().append(event, audit_id, tenant, **fields)


@pytest.mark.parametrize(("dies_before", "is_gone"), [("forget_begun", False), ("forgotten", True)])
async def test_a_call_that_was_cut_off_is_finished_when_it_is_repeated(
    opened: Opened, clock: Clock, dies_before: str, is_gone: bool
) -> None:
    await opened.remember("one")
    receipts = DyingReceipts(opened.folder / "memories")
    receipts.dies_before = dies_before
    forgetting = Forgetting(Partitions(lambda: opened.index), receipts, clock)
    asked = Asked(TENANT, SUBJECT, ALL, "key")
    with pytest.raises(GroundwireError, match="died"):
        forgetting.forget(asked)
    assert bool(await opened.listed()) is not is_gone
    receipt = await opened.memories.forget(asked)
    assert receipt.removed == {"memory": 1, "index_row": 1}
    assert await opened.listed() == []
    assert await opened.memories.forget(asked) == receipt


async def test_a_torn_entry_is_passed_over(opened: Opened) -> None:
    await opened.remember("one")
    first = await forget(opened, ALL, "key")
    with (opened.folder / "memories" / AUDIT_LOG).open("ab") as log:
        log.write(b'{"event": "forgot')
    await opened.remember("two")
    await forget(opened, ALL, "other")
    lines = (opened.folder / "memories" / AUDIT_LOG).read_bytes().splitlines()
    assert len(lines) == 5
    assert await forget(opened, ALL, "key") == first


async def test_without_a_log_nothing_is_forgotten(opened: Opened) -> None:
    held = await opened.remember("one")
    (opened.folder / "memories" / AUDIT_LOG).mkdir(parents=True)
    with pytest.raises(UnavailableError):
        await forget(opened, ALL)
    assert await opened.listed() == [held]
    (opened.folder / "memories" / AUDIT_LOG).rmdir()
    assert (await forget(opened, ALL)).removed["memory"] == 1


async def test_a_damaged_key_signs_nothing_and_says_so(opened: Opened) -> None:
    await opened.remember("one")
    await forget(opened, ALL)
    (opened.folder / "memories" / SIGNING_KEY).write_bytes(b"short")
    with pytest.raises(DataLossError, match=SIGNING_KEY):
        await forget(opened, ALL)


async def test_what_was_forgotten_is_in_no_file_an_hour_later(opened: Opened, clock: Clock) -> None:
    held = await opened.remember("Zanzibarian xylophones", sources=(Source("smallroom", 1),))
    await opened.memories.update(TENANT, held.id, MemoryChange(text="Zanzibarian yodelling"))
    await opened.remember("kept")
    await forget(opened, OfSession("smallroom"))
    clock.advance(seconds=RETENTION_S + 1)
    opened.index.purge()
    assert holding(opened.folder / "index", b"zanzibarian") == []
    assert await opened.texts() == {"kept"}


async def test_so_it_is_after_a_restart_without_any_call(opening: Open, clock: Clock) -> None:
    with opening() as opened:
        await opened.remember("Zanzibarian xylophones")
        await forget(opened, ALL)
    clock.advance(seconds=RETENTION_S + 1)
    with opening() as opened:
        opened.memories.sweep()
        opened.index.purge()
        assert holding(opened.folder / "index", b"zanzibarian") == []


def holding(folder: Path, word: bytes) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if word in path.read_bytes().lower()]


async def test_many_are_forgotten_in_one_write(opening: Open) -> None:
    with opening(index_fields_from=0) as opened:
        for number in range(30):
            await opened.remember(str(number))
        collection = opened.index.collection("memories/acme", "memories")
        before = collection.info().sequence
        assert (await forget(opened, ALL)).removed == {"memory": 30, "index_row": 30}
        assert collection.info().sequence == before + 1


class Summaries:
    """Counts what it is told to forget."""

    def __init__(self, error: GroundwireError | None = None) -> None:
        self.sessions: list[set[str]] = []
        self.subjects: list[str] = []
        self._error = error

    async def forget(self, tenant: str, session_ids: Iterable[str]) -> int:
        if self._error:
            raise self._error
        self.sessions.append(set(session_ids))
        return 2

    async def forget_subject(self, tenant: str, subject: str) -> int:
        self.subjects.append(subject)
        return 3


async def test_summaries_of_the_sessions_that_it_came_from_go_too(opened: Opened) -> None:
    summaries = Summaries()
    memories = Memories(lambda: opened.index, opened.embedder, opened.receipts, summaries=summaries)
    sourced = await opened.remember("one", sources=(Source("s1", 1), Source("s2", 4)))
    await opened.remember("two", sources=(Source("s3", 1),))
    bare = await opened.remember("three")

    async def removed(target: Target, key: str = "") -> Mapping[str, int]:
        return (await memories.forget(Asked(TENANT, SUBJECT, target, key))).removed

    assert await removed(OfIds((sourced.id,)), "k") == {
        "memory": 1,
        "index_row": 1,
        "summary": 2,
    }
    assert summaries.sessions == [{"s1", "s2"}]
    # What was answered is not done again, and neither is what is refused.
    assert (await removed(OfIds((sourced.id,)), "k"))["summary"] == 2
    with pytest.raises(AlreadyExistsError):
        await removed(OfSession("s9"), "k")
    assert await removed(OfIds((bare.id,))) == {"memory": 1, "index_row": 1}
    assert summaries.sessions == [{"s1", "s2"}]
    # One that nothing was remembered of has a summary all the same.
    assert await removed(OfSession("s4")) == {"memory": 0, "index_row": 0, "summary": 2}
    assert await removed(ALL) == {"memory": 1, "index_row": 1, "summary": 5}
    assert summaries.sessions[1:] == [{"s4"}, {"s3"}]
    assert summaries.subjects == [SUBJECT]


async def test_where_summaries_cannot_be_reached_nothing_is_forgotten(opened: Opened) -> None:
    summaries = Summaries(UnavailableError("no Redis"))
    memories = Memories(lambda: opened.index, opened.embedder, opened.receipts, summaries=summaries)
    kept = await opened.remember("one", sources=(Source("s1", 1),))
    with pytest.raises(UnavailableError):
        await memories.forget(Asked(TENANT, SUBJECT, OfIds((kept.id,))))
    assert await opened.listed() == [kept]
