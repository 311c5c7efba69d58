"""The command line and the client, as their users run them, against a whole server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import groundwire
import pytest

from tests.e2e.serving import TIMEOUT_S, ServerProcess

ROOT = Path(__file__).parents[2]
HANDBOOK = ROOT / "samples/handbook"
COLLECTION = "command-line"
# Far longer than an interrupted command takes to end.
RESEND_S = 20.0
SERVING = re.compile(r"Serving on ([\d.]+):(\d+)")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


def groundwire_command(
    server: ServerProcess, *arguments: object, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "groundwire_server", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "GROUNDWIRE_SERVER": server.address},
        timeout=TIMEOUT_S,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def handbook(server: ServerProcess) -> ServerProcess:
    done = groundwire_command(server, "ingest", HANDBOOK, "-c", COLLECTION, "--json")
    assert {line["status"] for line in lines(done)} <= {"ingested", "unchanged"}
    return server


def test_a_collection_answers_to_an_alias(handbook: ServerProcess) -> None:
    def run(*arguments: str) -> dict:
        return lines(groundwire_command(handbook, *arguments, "--json"))[0]

    assert run("collections", "alias", "guide", COLLECTION)["aliases"] == ["guide"]
    assert "guide" in groundwire_command(handbook, "collections").stdout
    assert run("search", "wind limits", "-c", "guide", "-k", "1")
    refused = groundwire_command(handbook, "collections", "delete", COLLECTION, "--yes")
    assert refused.returncode == 1
    assert "has the alias guide" in refused.stderr
    removed = run("collections", "unalias", "guide")
    assert removed == {"alias": "guide", "collection": COLLECTION}


def test_the_handbook_is_ingested_and_a_second_time_left_alone(handbook: ServerProcess) -> None:
    again = lines(groundwire_command(handbook, "ingest", HANDBOOK, "-c", COLLECTION, "--json"))
    assert len(again) == len(list(HANDBOOK.iterdir()))
    assert {line["status"] for line in again} == {"unchanged"}


def test_a_search_finds_the_page(handbook: ServerProcess) -> None:
    done = groundwire_command(
        handbook, "search", "wind limit of the Maar dome", "-c", COLLECTION, "--json"
    )
    (result,) = lines(done)
    record = result["hits"][0]["record"]
    assert record["document_id"] == "handbook/04-night-operations.pdf"
    assert "18 metres per second" in record["text"]
    assert record["position"]["page"] == 1


def test_an_answer_quotes_its_source(handbook: ServerProcess) -> None:
    question = "At what wind speed does the Maar dome have to be closed?"
    done = groundwire_command(handbook, "ask", question, "-c", COLLECTION, "--json")
    (result,) = lines(done)
    assert "18 metres per second" in result["answer"]
    assert "18 metres per second" in result["citations"][0]["quote"]
    assert result["finished"]["confidence"] > 0


def test_a_follow_up_in_a_chat_is_understood(handbook: ServerProcess) -> None:
    asked = "What is the field of view of PETREL?\nAnd how long does it take to read out?\n"
    done = groundwire_command(handbook, "chat", "-c", COLLECTION, "--json", stdin=asked)
    first, second = lines(done)
    assert "1.6 degrees" in first["answer"]
    assert "28 seconds" in second["answer"]
    assert first["session"] == second["session"]
    assert second["finished"]["stored"] == "stored"


def test_a_bad_file_does_not_stop_the_others(handbook: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "cut.pdf").write_bytes((HANDBOOK / "04-night-operations.pdf").read_bytes()[:900])
    (tmp_path / "whole.md").write_text("# Whole\n\nThis file is whole.")
    done = groundwire_command(
        handbook, "ingest", tmp_path / "cut.pdf", tmp_path / "whole.md", "-c", "bad-files"
    )
    assert done.returncode == 1
    failed, ingested, _ = done.stdout.splitlines()
    assert failed.startswith("failed    cut.pdf: ")
    assert ingested.startswith("ingested  whole.md")


def test_collections_come_and_go(server: ServerProcess) -> None:
    assert groundwire_command(server, "collections", "create", "passing").returncode == 0
    listed = lines(groundwire_command(server, "collections", "--json"))
    assert "passing" in [line["name"] for line in listed]
    assert groundwire_command(server, "collections", "delete", "passing", "--yes").returncode == 0
    asked = groundwire_command(server, "ask", "Anything?", "-c", "passing")
    assert asked.returncode == 1
    assert "passing" in asked.stderr


def test_tenants_do_not_see_each_other(handbook: ServerProcess) -> None:
    listed = groundwire_command(handbook, "collections", "--tenant", "somebody-else", "--json")
    assert lines(listed) == []


class Terminal:
    """A command in a pseudo-terminal, with a person who waits for what it says."""

    def __init__(self, server: ServerProcess, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "groundwire_server", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={
                **os.environ,
                "GROUNDWIRE_SERVER": server.address,
                "TERM": "xterm-256color",
                "COLUMNS": "100",
            },
        )
        os.close(slave)
        self.raw = ""

    @property
    def shown(self) -> str:
        return ESCAPES.sub("", self.raw).replace("\r", "")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, text: str, *, times: int = 1) -> None:
        give_up = time.monotonic() + TIMEOUT_S
        while self.shown.count(text) < times:
            assert self._read(give_up), f"never said {text!r}:\n{self.shown}"

    def interrupt(self) -> None:
        """At a prompt: until it ends. A signal just before it waits there wakes nobody."""
        give_up = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < give_up:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(RESEND_S)

    def ended(self) -> int:
        give_up = time.monotonic() + TIMEOUT_S
        while self._read(give_up):
            pass
        return self.process.wait(TIMEOUT_S)

    def _read(self, give_up: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, give_up - time.monotonic()))
        try:
            piece = os.read(self._master, 65536) if ready else b""
        except OSError:  # what Linux says when the other end has closed
            piece = b""
        self.raw += piece.decode(errors="replace")
        return bool(piece)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(handbook: ServerProcess) -> Iterator[type]:
    opened: list[Terminal] = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(handbook, *arguments))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def test_a_person_chats_in_a_terminal(terminal) -> None:
    chat = terminal("chat", "-c", COLLECTION)
    chat.until("> ")
    chat.type("Who is the safety officer?\n")
    chat.until("Confidence")
    chat.until("\n> ")
    assert "Oskar Lind" in chat.shown
    chat.type("/sources\n")
    chat.until("08-people-and-services.docx")
    chat.type("/quit\n")
    assert chat.ended() == 0
    assert "groundwire chat --session" in chat.shown


def test_ctrl_c_at_the_prompt_leaves_without_a_traceback(terminal) -> None:
    chat = terminal("chat", "-c", COLLECTION)
    chat.until("> ")
    chat.interrupt()
    assert chat.ended() == 0
    assert "Traceback" not in chat.shown


def test_a_person_sees_colour_and_a_bar_while_files_are_ingested(terminal) -> None:
    ingest = terminal("ingest", str(HANDBOOK), "-c", COLLECTION, "--force")
    assert ingest.ended() == 0
    assert "\x1b[" in ingest.raw
    assert "8 documents in “command-line”" in ingest.shown


def test_the_demo_shows_what_it_promises_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "groundwire_server", "demo"],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        timeout=2 * TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("word for word") >= 3
    assert "18 metres per second" in done.stdout
    assert "fourteen months" in done.stdout
    assert "none was made up" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_can_be_interrupted_and_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "groundwire_server", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        serving = next(found for line in process.stdout if (found := SERVING.search(line)))
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 130
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((serving[1], int(serving[2])))
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_what_the_client_s_documentation_shows_works(server: ServerProcess) -> None:
    text = (ROOT / "docs/client.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 7
    program = "\n".join(blocks).replace("localhost:50051", server.address)
    program = program.replace(f'"{server.address}")', f'"{server.address}", tenant="docs")')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "closes at five" in done.stdout
    assert "['user', 'assistant', 'user', 'assistant']" in done.stdout


async def test_both_clients_agree(handbook: ServerProcess) -> None:
    question = "How long do observations stay private before they become public?"
    with groundwire.Client(handbook.address) as client:
        blocking = await asyncio.to_thread(client.complete, question, grounding=COLLECTION)
    async with groundwire.AsyncClient(handbook.address) as client:
        awaited = await client.complete(question, grounding=COLLECTION)
        streamed = client.generate(question, grounding=COLLECTION)
        text = await streamed.text()
    assert "twelve months" in text
    assert blocking.text == awaited.text == text
    assert blocking.citations == awaited.citations == streamed.citations


def test_one_client_serves_many_threads(handbook: ServerProcess) -> None:
    found: list[str] = []
    with groundwire.Client(handbook.address) as client:

        def search() -> None:
            hits = client.retrieve.search(COLLECTION, "wind limits", top_k=1).hits
            found.append(hits[0].record.document_id)

        threads = [threading.Thread(target=search) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == ["handbook/04-night-operations.pdf"] * 8
