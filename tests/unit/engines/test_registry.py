from __future__ import annotations

import pytest
from groundwire_index.errors import NotFoundError
from groundwire_server.engines.registry import Engines
from groundwire_server.engines.vllm import VllmEngine


@pytest.fixture
def engines() -> Engines:
    named = [VllmEngine("/models/a"), VllmEngine("org/b/"), VllmEngine("org/c", name="short")]
    return Engines(named, "b")


def test_a_model_is_found_by_the_name_that_requests_use(engines: Engines) -> None:
    assert [engines.get(name).model for name in ("a", "b", "short")] == ["a", "b", "short"]
    assert [engine.model for engine in engines] == ["a", "b", "short"]
    assert len(engines) == 3


def test_no_name_is_the_default(engines: Engines) -> None:
    assert engines.get("") is engines.default is engines.get("b")


def test_an_unknown_model_is_told_which_there_are(engines: Engines) -> None:
    with pytest.raises(NotFoundError, match=r'"d" .* "a", "b", "short"'):
        engines.get("d")


def test_a_default_must_be_served() -> None:
    with pytest.raises(NotFoundError):
        Engines([VllmEngine("a")], "b")


def test_a_name_is_served_once() -> None:
    with pytest.raises(ValueError, match="same model name"):
        Engines([VllmEngine("x/a"), VllmEngine("y/a")], "a")
