"""Which answers may be kept, and be given again."""

from __future__ import annotations

from groundwire_server.engines.engine import FinishReason
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.events import AnswerEvent, Finished, Started
from groundwire_server.grounding.request import AnswerRequest, CachePolicy

# Its answers do not depend on how tokens are chosen.
_ALWAYS_THE_SAME = "extractive"


def policy_of(request: AnswerRequest, model: ServedModel, default: CachePolicy) -> CachePolicy:
    """What holds for a request: what it says, or else the default, if it has but one answer."""
    if not request.may_be_kept:
        return CachePolicy.OFF
    if request.cache is not None:
        return request.cache
    return default if has_one_answer(request, model) else CachePolicy.OFF


def has_one_answer(request: AnswerRequest, model: ServedModel) -> bool:
    """Whether the model says the same each time: it is greedy, seeded, or only quotes."""
    sampling = request.sampling
    return model.name == _ALWAYS_THE_SAME or sampling.temperature == 0 or sampling.seed is not None


def may_be_kept(events: list[AnswerEvent], model: ServedModel) -> bool:
    """Whether an answer is all that was asked for: whole, and of the model that was asked."""
    ends = [event for event in events if isinstance(event, Finished)]
    return (
        bool(ends)
        and all(not end.degraded_reason for end in ends)
        and all(end.finish_reason is not FinishReason.ABORTED for end in ends)
        and any(isinstance(event, Started) and event.model == model.model for event in events)
    )
