"""`groundwire backup` of a server in use, and `groundwire restore` of what it has written."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import groundwire
import pytest

from tests.e2e.serving import ServerProcess

TENANTS = ("acme", "globex")
DIMENSION = 64


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "groundwire_server", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def done(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    ran = command(*arguments)
    assert ran.returncode == 0, ran.stderr
    return ran


def refused(*arguments: str | Path) -> str:
    ran = command(*arguments)
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stdout + ran.stderr
    return ran.stderr


def prepare(client: groundwire.Client) -> None:
    client.retrieve.create_collection("notes", embedder="none", dimension=DIMENSION)
    client.retrieve.set_alias("current", "notes")
    client.memory.create_session("s")


@dataclass
class Writer:
    """Writes as one tenant until it is stopped, and knows what was acknowledged."""

    client: groundwire.Client
    records: int = 0
    turns: int = 0

    def write(self) -> None:
        batch = range(self.records, self.records + 20)
        vector = [1.0] * DIMENSION
        self.client.retrieve.upsert(
            "notes", [groundwire.Record(f"r{n}", text=f"note {n}", vector=vector) for n in batch]
        )
        self.records += 20
        turn = groundwire.NewMessage(role="user", content=f"turn {self.turns + 1}")
        self.client.memory.append("s", [turn])
        self.turns += 1

    def acknowledged(self) -> tuple[int, int]:
        return self.records, self.turns


@contextmanager
def writing(address: str) -> Iterator[list[Writer]]:
    """All tenants write, each without a pause."""
    stop = threading.Event()
    with ExitStack() as clients, ThreadPoolExecutor() as threads:
        writers = [
            Writer(clients.enter_context(groundwire.Client(address, tenant=tenant)))
            for tenant in TENANTS
        ]
        for writer in writers:
            prepare(writer.client)
            writer.write()

        def write_on(writer: Writer) -> None:
            while not stop.is_set():
                writer.write()

        running = [threads.submit(write_on, writer) for writer in writers]
        try:
            yield writers
        finally:
            stop.set()
            for one in running:
                one.result()


def found(address: str, tenant: str) -> tuple[int, int]:
    """Records and turns, which are the first so many that were written."""
    with groundwire.Client(address, tenant=tenant) as client:
        records = [one.id for one in client.retrieve.scroll("current")]
        turns = [turn.content for turn in client.memory.messages("s")]
        assert records == [f"r{n}" for n in range(len(records))]
        assert len(records) % 20 == 0
        assert turns == [f"turn {n + 1}" for n in range(len(turns))]
        client.retrieve.upsert("current", [groundwire.Record("later", text="x", vector=[1.0] * 64)])
        assert client.memory.append("s", [groundwire.NewMessage(role="user", content="on")])
        return len(records), len(turns)


@pytest.mark.parametrize("name", ["backup", "backup.tgz"])
def test_taken_under_load_it_holds_what_was_acknowledged_before(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    with ServerProcess(tmp_path / "data") as server, writing(server.address) as writers:
        before = [writer.acknowledged() for writer in writers]
        done("backup", target, "--data-dir", tmp_path / "data")
        after = [writer.acknowledged() for writer in writers]
        assert after > before
        done("restore", target, "--data-dir", tmp_path / "new")
    with ServerProcess(tmp_path / "new") as server:
        for tenant, least, most in zip(TENANTS, before, after, strict=True):
            records, turns = found(server.address, tenant)
            assert least[0] <= records <= most[0] + 20
            assert least[1] <= turns <= most[1] + 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that has stopped."""
    data = tmp_path_factory.mktemp("backup") / "data"
    with ServerProcess(data, "--chunk-tokens", "100") as server, writing(server.address):
        pass
    return data


def test_people_and_programs_are_told_what_is_in_it(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    ran = done("backup", target, "--data-dir", data)
    assert "groundwire: collection acme/notes" in ran.stderr
    assert "collections: 2, records: " in ran.stdout
    assert "sessions: 2, " in ran.stdout
    ran = done("restore", target, "--check", "--json")
    counted = json.loads(ran.stdout)
    assert ran.stderr == ""
    assert [one["tenant"] for one in counted["collections"]] == list(TENANTS)
    assert (counted["sessions"], counted["path"]) == (2, str(target))
    assert counted["records"] == sum(one["records"] for one in counted["collections"])
    ran = done("restore", target, "--data-dir", tmp_path / "new")
    assert "chunk_tokens is 192 here, and was 100" in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "new"]


def test_what_cannot_be_done_is_told_and_changes_nothing(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    done("backup", target, "--data-dir", data)
    assert "is there already" in refused("backup", target, "--data-dir", data)
    done("restore", target, "--data-dir", tmp_path / "new")
    assert "--replace" in refused("restore", target, "--data-dir", tmp_path / "new")
    with ServerProcess(tmp_path / "new"):
        told = refused("restore", target, "--data-dir", tmp_path / "new", "--replace")
    assert "is in use by process" in told
    assert "no backup" in refused("restore", tmp_path / "new", "--check")
    assert "sessions" in refused(
        "backup", tmp_path / "b", "--data-dir", data, "--redis-url=redis://x"
    )
    (database, *_) = target.glob("collections/*/collection.db")
    content = bytearray(database.read_bytes())
    content[5000] ^= 1
    database.write_bytes(content)
    told = refused("restore", target, "--data-dir", tmp_path / "new", "--replace")
    assert f"{database} is damaged" in told
    assert command("restore", target, "--data-dir", data, "--config", "none.toml").returncode == 2
    with ServerProcess(tmp_path / "new") as server:
        assert found(server.address, TENANTS[0])[0] > 0


def test_one_collection_of_it_is_restored_as_a_snapshot(data: Path, tmp_path: Path) -> None:
    done("backup", tmp_path / "backup", "--data-dir", data)
    counted = json.loads(done("restore", tmp_path / "backup", "--check", "--json").stdout)
    folder = tmp_path / "backup/collections" / counted["collections"][0]["folder"]
    with ServerProcess(tmp_path / "other") as server, groundwire.Client(server.address) as client:
        taken = client.retrieve.upload_snapshot(folder)
        restored = client.retrieve.restore_snapshot(taken.id, collection="rescued")
        assert restored.records == counted["collections"][0]["records"]
