"""Exchanges of Generate, and forks, when processes are killed between any two steps."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import groundwire
from groundwire.errors import UnavailableError
from groundwire_server.memory.redis_folder import RedisFolder

from tests.e2e.serving import TIMEOUT_S, ServerProcess

T = TypeVar("T")
HOURS = b"The visitor centre opens at nine. The dome opens at dusk. The shop closes at five."


def retried(call: Callable[[], T]) -> T:
    """What a client does while the store is away: the same again."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return call()
        except UnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def asked(client: groundwire.Client, question: str, at: Callable[[int], None]) -> bool:
    """Whether an answer was said to be stored. ``at`` is called before each event of it."""
    stored = False
    events = client.generate(question, grounding="hours", session_id="s")
    try:
        at(0)
        for number, event in enumerate(events, start=1):
            stored = isinstance(event, groundwire.Finished) and event.stored == "stored"
            at(number)
    except UnavailableError:
        return False
    return stored


def test_what_was_said_to_be_stored_is_there_once_and_forks_are_whole(tmp_path: Path) -> None:
    redis = RedisFolder(tmp_path / "data/redis")
    process = ServerProcess(tmp_path / "data")
    tried: dict[str, bool] = {}

    def kill_redis() -> None:
        for pid in redis.running():
            os.kill(pid, signal.SIGKILL)

    def kill_both() -> None:
        kill_redis()
        process.kill()

    with process, groundwire.Client(process.address) as client:
        client.retrieve.create_collection("hours")
        client.retrieve.ingest("hours", HOURS, filename="hours.txt")
        client.memory.create_session(session_id="s")
        for moment in (0, 1, 3, 6):
            question = f"{moment}. When does the visitor centre open?"
            kill = lambda at, moment=moment: at == moment and kill_redis()  # noqa: E731
            tried[question] = asked(client, question, kill)
            retried(lambda: client.memory.get_session("s"))
        tried["When does the shop close?"] = asked(client, "When does the shop close?", _nothing)
        head = client.memory.get_session("s").head
        retried(lambda: client.memory.fork_session("s", head, new_session_id="fork"))
        retried(lambda: client.memory.fork_session("fork", head, new_session_id="below"))
        client.memory.delete_session("fork")
        last = "When does the dome open?"
        tried[last] = asked(client, last, lambda at: at == 3 and kill_both())
    with process, groundwire.Client(process.address) as client:
        turns = list(client.memory.messages("s"))
        assert client.memory.get_session("s").head == len(turns)
        assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
        questions = [turn.content for turn in turns[::2]]
        assert len(set(questions)) == len(questions)
        assert {question for question, stored in tried.items() if stored} <= set(questions)
        assert set(questions) <= set(tried)
        assert tried["When does the shop close?"]
        assert list(client.memory.messages("below")) == turns[:head]
        assert asked(client, "And the shop?", _nothing)
        assert len(list(client.memory.messages("s"))) == len(turns) + 2


def _nothing(at: int) -> None:
    del at
