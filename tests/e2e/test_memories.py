"""Long-term memories on a whole server: by meaning, apart for each tenant, over crashes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import groundwire
import pytest
from groundwire.errors import AbortedError, InvalidArgumentError, NotFoundError

from tests.e2e.serving import ServerProcess

TIMEOUT_S = 60.0


@pytest.fixture
def tenant() -> str:
    return f"memories-{uuid4()}"


@pytest.fixture
def client(server: ServerProcess, tenant: str) -> groundwire.Client:
    with groundwire.Client(server.address, tenant=tenant, subject="ada") as client:
        yield client


def test_what_matters_is_recalled_by_its_meaning(client: groundwire.Client) -> None:
    for text in ("She works on a ferry.", "Her cat is called Ohm.", "She dislikes early meetings."):
        client.memory.remember(text)
    pet, *_ = client.memory.recall("What pet does she have?")
    assert pet.memory.text == "Her cat is called Ohm."
    assert pet.semantic > 0.3
    job, *_ = client.memory.recall("What is her profession?", top_k=1)
    changed = client.memory.update_memory(job.memory.id, text="She works in a lighthouse.")
    now, *_ = client.memory.recall("Where is she employed?", top_k=1)
    then, *_ = client.memory.recall("Where is she employed?", top_k=1, as_of=job.memory.create_time)
    assert (now.memory, then.memory.text) == (changed, "She works on a ferry.")
    with pytest.raises(AbortedError) as raised:
        client.memory.update_memory(job.memory.id, importance=1.0)
    assert raised.value.metadata["superseded_by"] == changed.id
    listed = list(client.memory.list_memories(page_size=2))
    assert listed[0].text == changed.text
    receipt = client.memory.forget(subject="ada")
    assert receipt.removed == {"memory": 3, "index_row": 4}
    assert list(client.memory.list_memories(include_superseded=True)) == []


def test_a_context_has_what_is_known(client: groundwire.Client) -> None:
    session = client.memory.create_session()
    cat = client.memory.remember("Her cat is called Ohm.")
    client.memory.remember("His cat is called Volt.", subject="bob")
    client.memory.append(session.id, [groundwire.NewMessage("user", "Good evening.")])
    context = client.memory.build_context(
        session.id, budget_tokens=200, query="What is my cat called?", system_prompt="Be brief."
    )
    assert "Her cat is called Ohm." in context.messages[0].content
    assert "Volt" not in context.messages[0].content
    assert [(item.kind, item.memory_ids) for item in context.included] == [
        ("system_prompt", ()),
        ("memory", (cat.id,)),
        ("turn", ()),
        ("query", ()),
    ]


def test_no_tenant_comes_near_the_memories_of_another(
    server: ServerProcess, client: groundwire.Client, tenant: str
) -> None:
    ours = client.memory.remember("The safe opens with 4711.", idempotency_key="key")
    assert list(client.retrieve.list_collections()) == []
    for name in ("memories", f"memories/{tenant}"):
        with pytest.raises((NotFoundError, InvalidArgumentError)):
            client.retrieve.search(name, "safe")
        with pytest.raises((NotFoundError, InvalidArgumentError)):
            client.retrieve.delete_collection(name)
    client.retrieve.create_collection("memories")
    assert client.retrieve.get_collection("memories").records == 0
    claimed = {"groundwire-tenant": f"memories/{tenant}"}
    with (
        groundwire.Client(server.address, metadata=claimed) as forged,
        pytest.raises(InvalidArgumentError, match="groundwire-tenant"),
    ):
        list(forged.retrieve.list_collections())
    with groundwire.Client(server.address, tenant=f"{tenant}-2", subject="ada") as other:
        assert other.memory.recall("safe") == []
        assert list(other.memory.list_memories()) == []
        with pytest.raises(NotFoundError):
            other.memory.update_memory(ours.id, text="mine")
        receipts = [other.memory.forget([ours.id]), other.memory.forget(subject="ada")]
        assert [one.removed["index_row"] for one in receipts] == [0, 0]
        assert other.memory.remember("Mine.", idempotency_key="key").id != ours.id
    assert [one.memory for one in client.memory.recall("safe")] == [ours]


def test_rarity_of_words_tells_nothing_of_another_tenant(
    server: ServerProcess, client: groundwire.Client, tenant: str
) -> None:
    client.memory.remember("A quokka lives on Rottnest.")
    client.memory.remember("A ferry goes there.")
    (before, *_) = client.memory.recall("quokka")
    with groundwire.Client(server.address, tenant=f"{tenant}-2", subject="ada") as other:
        for number in range(20):
            other.memory.remember(f"Quokka number {number}.")
    (after, *_) = client.memory.recall("quokka")
    assert after.lexical == before.lexical > 0


def test_acknowledged_writes_survive_kills(tmp_path: Path) -> None:
    process = ServerProcess(tmp_path / "data")
    kept: list[groundwire.Memory] = []
    receipt = None
    for turn in range(3):
        with process, groundwire.Client(process.address) as client:
            assert list(client.memory.list_memories()) == kept[::-1]
            if receipt is not None:
                again = client.memory.forget(subject="bob", idempotency_key="f")
                assert again == receipt
            remembered = client.memory.remember(f"Fact {turn}.", idempotency_key=f"r{turn}")
            client.memory.remember("His.", subject="bob", idempotency_key=f"b{turn}")
            updated = client.memory.update_memory(
                remembered.id, text=f"Changed {turn}.", idempotency_key=f"u{turn}"
            )
            kept.append(updated)
            if receipt is None:
                receipt = client.memory.forget(subject="bob", idempotency_key="f")
            process.kill()
    with process, groundwire.Client(process.address) as client:
        assert list(client.memory.list_memories()) == kept[::-1]
        assert len(list(client.memory.list_memories(include_superseded=True))) == 6
        assert len(list(client.memory.list_memories(subject="bob"))) == 2
        repeated = client.memory.update_memory(
            kept[1].supersedes, text="Changed 1.", idempotency_key="u1"
        )
        assert repeated == kept[1]


def test_an_asynchronous_client_has_the_same_calls(server: ServerProcess, tenant: str) -> None:
    async def use() -> None:
        async with groundwire.AsyncClient(server.address, tenant=tenant) as client:
            made = await client.memory.remember("Hears well.", "event", importance=0.75)
            assert [one async for one in client.memory.list_memories(kinds=["event"])] == [made]
            assert [one async for one in client.memory.list_memories(kinds=["fact"])] == []
            assert made.create_time
            for no_match in (
                groundwire.MemoryFilter(kinds=["fact"]),
                groundwire.MemoryFilter(subject="nobody", kinds=["event"]),
                groundwire.MemoryFilter(created_before=made.create_time),
            ):
                receipt = await client.memory.forget(matching=no_match)
                assert receipt.removed["memory"] == 0
            match = groundwire.MemoryFilter(kinds=["event"], created_from=made.create_time)
            assert (await client.memory.forget(matching=match)).removed["memory"] == 1
            assert [one async for one in client.memory.list_memories()] == []

    asyncio.run(use())


def command(server: ServerProcess, tenant: str, *arguments: str, stdin: str = "") -> str:
    first, *rest = arguments
    done = subprocess.run(
        [sys.executable, "-m", "groundwire_server", first, "--tenant", tenant, *rest],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "GROUNDWIRE_SERVER": server.address},
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_remembers_and_forgets(server: ServerProcess, tenant: str) -> None:
    def memory(*arguments: str) -> str:
        return command(server, tenant, "memory", "--subject", "eve", *arguments)

    made = json.loads(
        memory("remember", "Plays the [bold]oboe[/bold].", "--kind", "event", "--json")
    )
    assert (made["subject"], made["kind"]) == ("eve", "event")
    found = memory("recall", "instrument")
    assert "Plays the [bold]oboe[/bold]." in found
    assert "Meaning" in found
    (scored,) = memory("recall", "instrument", "--json").splitlines()
    assert json.loads(scored)["memory"]["id"] == made["id"]
    memory("update", made["id"], "Plays the harp.")
    assert "oboe" not in memory("list")
    assert "oboe" in memory("list", "--all")
    assert "oboe" in memory("recall", "instrument", "--as-of", made["create_time"])
    assert memory("forget", made["id"], "--yes").startswith("Forgot 1 memory; receipt ")
    assert "Nothing is remembered yet" in memory("list")
    assert memory("forget", "--all", "--yes").startswith("Forgot 0 memories")


def test_a_receipt_can_be_verified(server: ServerProcess, tenant: str, tmp_path: Path) -> None:
    command(server, tenant, "memory", "remember", "Sails.")
    receipt = tmp_path / "receipt.json"
    receipt.write_text(command(server, tenant, "memory", "forget", "--all", "--yes", "--json"))
    verify = ("memory", "verify", str(receipt), "--data-dir", str(server.data_dir))
    assert " was made out for " in command(server, tenant, *verify)
    receipt.write_text(receipt.read_text().replace('"memory": 1', '"memory": 2'))
    with pytest.raises(AssertionError):
        command(server, tenant, *verify)
    receipt.write_text("{}")
    with pytest.raises(AssertionError, match="is no receipt"):
        command(server, tenant, *verify)


def test_a_chat_remembers_and_forgets(server: ServerProcess, tenant: str) -> None:
    with groundwire.Client(server.address, tenant=tenant) as client:
        said = command(
            server,
            tenant,
            "chat",
            "--no-sources",
            stdin="/remember Sails on Sundays.\n/recall hobby\n/remember\n/help\n",
        )
        (made,) = client.memory.list_memories()
        assert f"Remembered as {made.id}." in said
        assert "Meaning" in said
        assert "/remember needs more" in said
        assert "/recall QUERY" in said
        assert "Forgot 1 memory" in command(
            server, tenant, "chat", "--no-sources", stdin=f"/forget {made.id}\n"
        )
        assert list(client.memory.list_memories()) == []
