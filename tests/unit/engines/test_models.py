from __future__ import annotations

from collections import Counter

import pytest
from groundwire_index.errors import NotFoundError
from groundwire_server.engines.engine import EngineRequest
from groundwire_server.engines.models import Models, RouteSpec
from groundwire_server.engines.served_model import ServedModel

from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

KEYS = [f"session-{number}" for number in range(2_000)]


def served(*names: str) -> list[ServedModel]:
    return [ServedModel(ScriptedEngine([], model=name)) for name in names]


@pytest.fixture
def models() -> Models:
    return Models(served("a", "b", "short"), default="b")


def routed(*fallbacks: str, last_resort: bool = False, **weights: float) -> Models:
    each = served("a", "b", "c", "d")
    return Models(
        each,
        routes=[RouteSpec("chat", weights, fallbacks)],
        default="chat",
        last_resort=each[-1] if last_resort else None,
    )


def tried(models: Models, key: str = "x") -> tuple[list[str], list[str]]:
    candidates = models.route("chat").candidates(key)
    return (
        [model.model for model in candidates.asked_for],
        [model.model for model in candidates.fallbacks],
    )


def chosen(models: Models) -> list[str]:
    return [tried(models, key)[0][0] for key in KEYS]


def test_a_model_is_found_by_the_name_that_requests_use(models: Models) -> None:
    assert [models.get(name).model for name in ("a", "b", "short")] == ["a", "b", "short"]
    assert [model.model for model in models] == ["a", "b", "short"]
    assert len(models) == 3


async def test_an_adapter_is_a_name_of_its_model_in_the_same_queue() -> None:
    engine = ScriptedEngine(saying("So"), model="a")
    engine.adapters = ("legal", "medical")
    models = Models([ServedModel(engine), *served("b")], default="legal")
    for name in ("legal", "a", "medical"):
        model = models.get(name)
        assert model.model == name
        assert model.queue is models.get("a").queue
        _ = [event async for event in model.generate(EngineRequest("r", prompt="Why?"))]
    assert [request.adapter for request in engine.requests] == ["legal", "", "medical"]
    assert [model.model for model in models] == ["a", "b"]
    assert models.default.name == "legal"
    with pytest.raises(NotFoundError, match='"a", "b", "legal", "medical"'):
        models.get("none")


def test_an_adapter_has_no_name_that_is_taken() -> None:
    engine = ScriptedEngine([], model="a")
    engine.adapters = ("b",)
    with pytest.raises(ValueError, match="same name"):
        Models([ServedModel(engine), *served("b")], default="a")


def test_no_name_is_the_default(models: Models) -> None:
    assert models.route("") is models.default is models.route("b")
    assert models.get("") is models.get("b")


def test_an_unknown_model_is_told_which_there_are(models: Models) -> None:
    with pytest.raises(NotFoundError, match=r'"d" .* "a", "b", "short"'):
        models.get("d")


def test_a_default_must_be_served() -> None:
    with pytest.raises(NotFoundError):
        Models(served("a"), default="b")


def test_a_route_leads_to_models_that_there_are() -> None:
    with pytest.raises(NotFoundError, match='"z"'):
        routed(a=1, z=1)
    with pytest.raises(NotFoundError, match='"z"'):
        routed("z", a=1)


@pytest.mark.parametrize("route", ["a", "chat"])
def test_a_name_is_taken_once(route: str) -> None:
    specs = [RouteSpec("chat", {"a": 1}), RouteSpec(route, {"a": 1})]
    with pytest.raises(ValueError, match="same name"):
        Models(served("a"), default="a", routes=specs)


def test_a_session_stays_with_its_model() -> None:
    models = routed(a=1, b=1)
    assert chosen(models) == chosen(models)


def test_models_answer_by_their_weights() -> None:
    shares = Counter(chosen(routed(a=95, b=5)))
    assert 0.03 < shares["b"] / len(KEYS) < 0.07


def test_a_larger_canary_takes_no_session_back_from_it() -> None:
    few, many = chosen(routed(a=95, b=5)), chosen(routed(a=80, b=20))
    moved = {(before, after) for before, after in zip(few, many, strict=True) if before != after}
    assert moved == {("a", "b")}


def test_models_of_two_routes_are_chosen_apart() -> None:
    each = served("a", "b")
    specs = [RouteSpec(name, {"a": 1, "b": 1}) for name in ("chat", "code")]
    models = Models(each, default="a", routes=specs)
    same = sum(
        len({models.route(name).candidates(key).asked_for[0] for name in ("chat", "code")}) == 1
        for key in KEYS
    )
    assert 0.4 < same / len(KEYS) < 0.6


def test_the_others_of_a_route_are_tried_before_its_fallbacks() -> None:
    assert tried(routed("c", "d", a=1000, b=1)) == (["a", "b"], ["c", "d"])


def test_the_last_resort_is_tried_last_and_once() -> None:
    assert tried(routed("c", a=1, last_resort=True)) == (["a"], ["c", "d"])
    assert tried(routed("d", "c", a=1, last_resort=True)) == (["a"], ["d", "c"])
    assert tried(routed(d=1, last_resort=True)) == (["d"], [])


def test_a_route_is_known_by_the_model_that_answers_most() -> None:
    assert routed(a=5, b=95).get("chat").model == "b"


def test_a_plain_model_falls_back_on_the_last_resort_alone() -> None:
    each = served("a", "extractive")
    models = Models(each, default="a", last_resort=each[-1])
    assert [*models.route("a").candidates("x")] == each
    assert models.route("a").answering == (each[0],)
