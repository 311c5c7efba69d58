from __future__ import annotations

import asyncio
import logging

import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.components import Components, Condition, State
from groundwire_server.parts import InOrder


class Part:
    """Notes what happens to it; fails where it is told to."""

    def __init__(self, name: str, diary: list[str], *, fails: str = "") -> None:
        self.name = name
        self.fails = fails
        self._diary = diary

    async def start(self) -> None:
        self._did("start")

    async def check(self) -> None:
        if self.fails == "hang":
            await asyncio.Future()
        self._did("check")

    async def close(self) -> None:
        self._did("close")

    def _did(self, what: str) -> None:
        self._diary.append(f"{what} {self.name}")
        if self.fails == what:
            raise UnavailableError(f"{self.name} is down")


async def test_components_are_starting_until_they_have_started() -> None:
    components = Components([Part("a", []), Part("b", [])])
    assert components.conditions == (Condition("a"), Condition("b"))
    assert not components.is_any_ready(["a", "b"])
    await components.start()
    assert components.is_any_ready(["a", "b"])


async def test_the_one_that_cannot_start_is_said() -> None:
    components = Components([Part("a", []), Part("b", [], fails="start")])
    with pytest.raises(UnavailableError, match="b is down"):
        await components.start()


async def test_a_check_that_does_not_end_is_a_failure() -> None:
    part = Part("a", [], fails="hang")
    components = Components([part], check_timeout_s=0)
    await components.check()
    condition = components.condition_of("a")
    assert (condition.state, condition.detail) == (State.FAILED, "did not answer within 0 s")


async def test_a_failure_is_logged_when_it_comes_and_when_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    part = Part("a", [])
    components = Components([part])
    await components.start()
    with caplog.at_level(logging.INFO):
        for fails in ("", "check", "check", "", ""):
            part.fails = fails
            await components.check()
    assert [record.getMessage() for record in caplog.records] == [
        "a fails: a is down",
        "a works again",
    ]


async def test_the_last_is_closed_first_and_all_are(caplog: pytest.LogCaptureFixture) -> None:
    diary: list[str] = []
    parts = [Part("a", diary), Part("b", diary, fails="close"), Part("c", diary)]
    await Components(parts).close()
    assert diary == ["close c", "close b", "close a"]
    assert "b did not close" in caplog.text


async def test_what_needs_another_comes_after_it() -> None:
    diary: list[str] = []
    store = InOrder("sessions", [Part("server", diary), Part("client", diary)])
    await store.start()
    await store.check()
    await store.close()
    assert diary == [
        *("start server", "start client"),
        *("check server", "check client"),
        *("close client", "close server"),
    ]


async def test_what_another_needed_is_closed_also_if_that_other_cannot_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    diary: list[str] = []
    store = InOrder("sessions", [Part("server", diary), Part("client", diary, fails="close")])
    await store.close()
    assert diary == ["close client", "close server"]
    assert "client did not close" in caplog.text


async def test_nothing_starts_after_what_it_needs_has_failed() -> None:
    diary: list[str] = []
    store = InOrder("sessions", [Part("server", diary, fails="start"), Part("client", diary)])
    with pytest.raises(UnavailableError):
        await store.start()
    assert diary == ["start server"]


async def test_an_error_that_is_none_of_ours_is_raised_as_it_is() -> None:
    class Broken(Part):
        async def start(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Components([Broken("a", [])]).start()
