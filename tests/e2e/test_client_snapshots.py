"""Both clients take snapshots, restore them, and carry them elsewhere, with a whole server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from groundwire import AsyncClient, Client, Record
from groundwire.errors import (
    AlreadyExistsError,
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
)

from tests.e2e.serving import ServerProcess


@pytest.fixture
def client(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(server.address, tenant=f"snapshots-{abs(hash(request.node.name))}") as client:
        client.retrieve.create_collection("c", dimension=2, embedder="none")
        client.retrieve.upsert("c", [Record("a", text="one", vector=[1.0, 0.0])])
        yield client


def asynchronous(client: Client) -> AsyncClient:
    connection = client.transport.connection
    return AsyncClient(connection.target, tenant=connection.tenant)


def text_of(client: Client, collection: str) -> str | None:
    (found,) = client.retrieve.get(collection, ["a"])
    return found.text if found else None


def test_it_is_restored_beside_the_collection_and_in_its_place(client: Client) -> None:
    taken = client.retrieve.create_snapshot("c")
    assert (taken.collection, taken.sequence, taken.records) == ("c", 1, 1)
    client.retrieve.upsert("c", [Record("a", text="two", vector=[0.0, 1.0])])
    assert client.retrieve.restore_snapshot(taken.id, collection="d").name == "d"
    assert (text_of(client, "c"), text_of(client, "d")) == ("two", "one")
    with pytest.raises(AlreadyExistsError):
        client.retrieve.restore_snapshot(taken.id)
    client.retrieve.restore_snapshot(taken.id, replace=True)
    assert text_of(client, "c") == "one"


def test_it_is_carried_away_and_back(client: Client, tmp_path: Path) -> None:
    taken = client.retrieve.create_snapshot("c")
    folder = client.retrieve.download_snapshot(taken.id, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]
    with pytest.raises(FileExistsError):
        client.retrieve.download_snapshot(taken.id, folder)
    client.retrieve.delete_snapshot(taken.id)
    client.retrieve.delete_collection("c")
    assert list(client.retrieve.list_snapshots()) == []
    assert client.retrieve.upload_snapshot(folder) == taken
    assert list(client.retrieve.list_snapshots(collection="c")) == [taken]
    client.retrieve.restore_snapshot(taken.id)
    assert text_of(client, "c") == "one"


async def test_so_it_is_on_an_event_loop(client: Client, tmp_path: Path) -> None:
    async with asynchronous(client) as other:
        taken = await other.retrieve.create_snapshot("c")
        folder = await other.retrieve.download_snapshot(taken.id, tmp_path / "copy")
        await other.retrieve.delete_snapshot(taken.id)
        assert await other.retrieve.upload_snapshot(folder) == taken
        assert [one async for one in other.retrieve.list_snapshots()] == [taken]
        restored = await other.retrieve.restore_snapshot(taken.id, collection="d")
    assert restored.records == 1


def test_a_copy_that_was_damaged_is_refused(client: Client, tmp_path: Path) -> None:
    taken = client.retrieve.create_snapshot("c")
    folder = client.retrieve.download_snapshot(taken.id, tmp_path / "copy")
    client.retrieve.delete_snapshot(taken.id)
    database = folder / "collection.db"
    content = bytearray(database.read_bytes())
    content[5000] ^= 1
    database.write_bytes(content)
    with pytest.raises(DataLossError, match=r"collection\.db"):
        client.retrieve.upload_snapshot(folder)
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(DataLossError, match=r"manifest\.json"):
        client.retrieve.upload_snapshot(folder)
    assert list(client.retrieve.list_snapshots()) == []


def test_what_is_not_there_is_told_and_leaves_no_folder(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match='no snapshot "none"'):
        client.retrieve.download_snapshot("none", tmp_path / "copy")
    with pytest.raises(InvalidArgumentError):
        client.retrieve.create_snapshot("")
    assert list(tmp_path.iterdir()) == []


def test_what_the_documentation_shows_works(client: Client, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/backup.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    client.retrieve.create_collection("notes", dimension=2, embedder="none")
    connection = client.transport.connection
    program = (
        "import groundwire\n"
        f"client = groundwire.Client({connection.target!r}, tenant={connection.tenant!r})\n{block}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    names = {one.name for one in client.retrieve.list_collections()}
    assert names == {"c", "notes", "notes-before"}
