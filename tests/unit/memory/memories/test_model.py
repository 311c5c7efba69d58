"""Whatever is remembered, updated and forgotten, in whatever order: as a model in Python says."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from groundwire_index import Index
from groundwire_index.errors import ConflictError, InvalidArgumentError, NotFoundError
from groundwire_server.memory.memories.forgetting import Asked
from groundwire_server.memory.memories.memory import (
    Matching,
    Memory,
    MemoryChange,
    MemoryKind,
    NewMemory,
    OfIds,
    OfSession,
    OfSubject,
    Question,
    Source,
    Target,
)
from groundwire_server.memory.memories.receipts import Receipts
from groundwire_server.memory.memories.store import Memories
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from tests.unit.memory.memories.conftest import Clock
from tests.unit.retrieve.letters import LettersEmbedder

TENANTS = st.sampled_from(["acme", "other"])
SUBJECTS = st.sampled_from(["ada", "bob"])
KINDS = st.sampled_from(list(MemoryKind))
SESSIONS = st.sampled_from(["s1", "s2"])
TEXTS = st.text("abc ", min_size=1, max_size=5)
DAYS = st.integers(-3, 3)


@dataclass(frozen=True)
class Held:
    """What the model knows of one version."""

    tenant: str
    memory: Memory


class Model(RuleBasedStateMachine):
    """Every version of every memory that there is, as it should be."""

    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="groundwire-test-"))
        self.clock = Clock()
        self.loop = asyncio.new_event_loop()
        self.versions: dict[str, Held] = {}
        self.open()

    def open(self) -> None:
        self.index = Index.open(
            self.folder / "index",
            now=lambda: self.clock().timestamp(),
            background=False,
            index_fields_from=0,
        )
        receipts = Receipts(self.folder / "memories")
        self.memories = Memories(lambda: self.index, LettersEmbedder(), receipts, clock=self.clock)

    def teardown(self) -> None:
        self.index.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    @rule(
        target=made,
        tenant=TENANTS,
        subject=SUBJECTS,
        kind=KINDS,
        text=TEXTS,
        sessions=st.lists(SESSIONS, max_size=2),
        since=st.none() | DAYS,
        life=st.none() | st.integers(1, 4),
    )
    def remember(
        self,
        tenant: str,
        subject: str,
        kind: MemoryKind,
        text: str,
        sessions: list[str],
        since: int | None,
        life: int | None,
    ) -> str:
        valid_from = None if since is None else self.clock.time + timedelta(days=since)
        begins = max(valid_from or self.clock.time, self.clock.time)
        new = NewMemory(
            subject,
            text,
            kind,
            sources=tuple(Source(session, 1) for session in sessions),
            valid_from=valid_from,
            expire_time=None if life is None else begins + timedelta(days=life),
        )
        memory = self.loop.run_until_complete(self.memories.remember(tenant, new))
        self.versions[memory.id] = Held(tenant, memory)
        return memory.id

    @rule(target=made, old_id=made, text=TEXTS)
    def update(self, old_id: str, text: str) -> object:
        held = self.versions.get(old_id)
        tenant = held.tenant if held else "acme"
        change = MemoryChange(text=text)
        try:
            new = self.loop.run_until_complete(self.memories.update(tenant, old_id, change))
        except NotFoundError:
            assert held is None or held.memory.has_expired(self.clock.time)
            return multiple()
        except ConflictError:
            assert held is not None
            assert held.memory.superseded_by
            return multiple()
        except InvalidArgumentError:
            # It would expire before it begins to hold.
            assert held is not None
            assert held.memory.expire_time is not None
            assert held.memory.expire_time <= max(self.clock.time, held.memory.valid_from)
            return multiple()
        assert held is not None
        ended = replace(held.memory, superseded_by=new.id, valid_until=new.valid_from)
        self.versions[old_id] = Held(tenant, ended)
        self.versions[new.id] = Held(tenant, new)
        return new.id

    @rule(tenant=TENANTS, subject=SUBJECTS)
    def forget_subject(self, tenant: str, subject: str) -> None:
        self.forget(tenant, OfSubject(subject), lambda memory: memory.subject == subject)

    @rule(tenant=TENANTS, session=SESSIONS)
    def forget_session(self, tenant: str, session: str) -> None:
        self.forget(
            tenant,
            OfSession(session),
            lambda memory: session in [one.session_id for one in memory.sources],
        )

    @rule(tenant=TENANTS, ids=st.lists(made, min_size=1, max_size=3))
    def forget_ids(self, tenant: str, ids: list[str]) -> None:
        self.forget(tenant, OfIds(tuple(ids)), lambda memory: memory.id in ids)

    @rule(tenant=TENANTS, kind=KINDS, days=DAYS)
    def forget_matching(self, tenant: str, kind: MemoryKind, days: int) -> None:
        before = self.clock.time + timedelta(days=days)
        self.forget(
            tenant,
            Matching(kinds=(kind,), created_before=before),
            lambda memory: (
                memory.kind is kind and memory.create_time < before and not memory.superseded_by
            ),
        )

    def forget(self, tenant: str, target: Target, chosen: object) -> None:
        lineages = {
            held.memory.lineage
            for held in self.versions.values()
            if held.tenant == tenant and chosen(held.memory)  # type: ignore[operator]
        }
        gone = [
            key
            for key, held in self.versions.items()
            if held.tenant == tenant and held.memory.lineage in lineages
        ]
        asked = Asked(tenant, "ada", target)
        receipt = self.loop.run_until_complete(self.memories.forget(asked))
        assert receipt.removed == {"memory": len(lineages), "index_row": len(gone)}
        for key in gone:
            del self.versions[key]

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @rule()
    def sweep_and_purge(self) -> None:
        expired = [
            key for key, held in self.versions.items() if held.memory.has_expired(self.clock.time)
        ]
        assert self.memories.sweep() == len(expired)
        for key in expired:
            del self.versions[key]
        self.index.purge()

    @rule()
    def restart(self) -> None:
        self.index.close()
        self.open()
        # A sweep looks after tenants that are used.
        for tenant in ("acme", "other"):
            self.listed(tenant, "ada")

    @rule(tenant=TENANTS, subject=SUBJECTS, days=DAYS, kinds=st.lists(KINDS, max_size=2))
    def recall_the_past(
        self, tenant: str, subject: str, days: int, kinds: list[MemoryKind]
    ) -> None:
        at = self.clock.time + timedelta(days=days)
        self.assert_recalled(tenant, subject, at, tuple(kinds))

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        for tenant in ("acme", "other"):
            for subject in ("ada", "bob"):
                self.assert_recalled(tenant, subject, None)
                self.assert_listed(tenant, subject)

    def assert_recalled(
        self,
        tenant: str,
        subject: str,
        as_of: datetime | None,
        kinds: tuple[MemoryKind, ...] = (),
    ) -> None:
        question = Question(subject, "abc", top_k=100, kinds=kinds, as_of=as_of)
        found = self.loop.run_until_complete(self.memories.recall(tenant, question))
        now = self.clock.time
        expected = [
            memory
            for memory in self.of(tenant, subject)
            if memory.is_held(as_of or now, now)
            and (as_of is not None or not memory.superseded_by)
            and (not kinds or memory.kind in kinds)
        ]
        assert {one.memory.id: one.memory for one in found} == {one.id: one for one in expected}
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)
        assert len(found) == len(expected)

    def assert_listed(self, tenant: str, subject: str) -> None:
        expected = [one for one in self.of(tenant, subject) if not one.has_expired(self.clock.time)]
        assert self.listed(tenant, subject) == expected[::-1]

    def listed(self, tenant: str, subject: str) -> list[Memory]:
        page = self.memories.page(tenant, subject, include_superseded=True, limit=1000)
        return list(self.loop.run_until_complete(page).memories)

    def of(self, tenant: str, subject: str) -> list[Memory]:
        return [
            held.memory
            for held in self.versions.values()
            if (held.tenant, held.memory.subject) == (tenant, subject)
        ]


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=20, stateful_step_count=25)
