from __future__ import annotations

import pytest
from groundwire_index.errors import AlreadyExistsError, NotFoundError
from groundwire_server.running import RunningRequests


def test_an_id_is_taken_while_its_request_runs() -> None:
    running = RunningRequests()
    with running.register("r", "a"):
        with pytest.raises(AlreadyExistsError, match='"r" is running'), running.register("r", "a"):
            pass
        with running.register("r", "b"):
            assert len(running) == 2
    with running.register("r", "a"):
        pass
    assert len(running) == 0


def test_a_request_that_fails_gives_its_id_back() -> None:
    running = RunningRequests()
    with pytest.raises(ZeroDivisionError), running.register("r", "a"):
        raise ZeroDivisionError
    with pytest.raises(NotFoundError, match='no request "r"'):
        running.abort("a", "r")


def test_aborting_tells_the_request() -> None:
    running = RunningRequests()
    with running.register("r", "a") as mine, running.register("r", "b") as theirs:
        running.abort("a", "r")
        assert mine.is_set()
        assert not theirs.is_set()
