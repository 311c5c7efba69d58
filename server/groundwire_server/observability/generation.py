"""What is measured of the answers of each model."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram

from groundwire_server.engines.engine import FinishReason
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    Started,
    StoreOutcome,
)

# Seconds of an answer: a quotation at one end, thousands of tokens at the other.
_ANSWER_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120, 300)
_PHASE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_TOKEN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1)
PHASES = ("queue", "embed", "retrieve", "prefill", "decode")
_MODEL = ("model",)


class GenerationMetrics:
    """The metrics of all models. Used on one event loop."""

    def __init__(
        self, registry: CollectorRegistry, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._models: dict[str, _OfModel] = {}

        def histogram(
            name: str, meaning: str, labels: tuple[str, ...], buckets: tuple[float, ...]
        ) -> Histogram:
            name = f"groundwire_generation{name}"
            return Histogram(name, meaning, labels, buckets=buckets, registry=registry)

        def counter(name: str, meaning: str, labels: tuple[str, ...] = _MODEL) -> Counter:
            return Counter(f"groundwire_generation{name}", meaning, labels, registry=registry)

        self.ended = counter("s", "Answers that have ended, by status code.", ("model", "code"))
        self.seconds = histogram(
            "_seconds", "Time to the end of an answer that was complete.", _MODEL, _ANSWER_BUCKETS
        )
        self.first_token = histogram(
            "_first_token_seconds", "Time to the first token of an answer.", _MODEL, _PHASE_BUCKETS
        )
        self.token = histogram(
            "_token_seconds",
            "Time of each further token of a choice, on average over an answer.",
            _MODEL,
            _TOKEN_BUCKETS,
        )
        self.phase = histogram(
            "_phase_seconds", "Time of each phase of an answer.", ("model", "phase"), _PHASE_BUCKETS
        )
        self.prompt_tokens = counter("_prompt_tokens", "Tokens of prompts.")
        self.cached_tokens = counter(
            "_cached_tokens", "Tokens of prompts that were found in the prefix cache."
        )
        self.completion_tokens = counter("_completion_tokens", "Tokens of answers.")
        self.prefix_hits = counter(
            "_prefix_hits", "Answers of which a part of the prompt was in the prefix cache."
        )
        self.choices = counter(
            "_choices", "Choices that have ended, by why.", ("model", "finish_reason")
        )
        self.citations = counter(
            "_citations", "Citations, by whether their passage supports them.", ("model", "verdict")
        )
        self.degraded = counter("_degraded", "Answers that are less than what was asked for.")
        self.replaced = counter("_replaced", "Answers that another model gave in its place.")
        self.stored = counter(
            "_stored", "Exchanges of sessions, by what became of them.", ("model", "outcome")
        )

    def expect(self, model: str) -> None:
        """Report a model before its first answer, too. Only those that are served are expected."""
        self._of(model)

    def answer(self, model: str) -> AnswerMetrics:
        """Measure an answer from now on, by this model unless `Started` says another."""
        return AnswerMetrics(self._of, model, self._clock)

    def _of(self, model: str) -> _OfModel:
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = _OfModel(self, model)
        return found


class _OfModel:
    """The metrics of one model, looked up once."""

    def __init__(self, metrics: GenerationMetrics, model: str) -> None:
        self._metrics = metrics
        self._model = model
        self.seconds = metrics.seconds.labels(model)
        self.first_token = metrics.first_token.labels(model)
        self.token = metrics.token.labels(model)
        self.phases = {phase: metrics.phase.labels(model, phase) for phase in PHASES}
        self.prompt_tokens = metrics.prompt_tokens.labels(model)
        self.cached_tokens = metrics.cached_tokens.labels(model)
        self.completion_tokens = metrics.completion_tokens.labels(model)
        self.prefix_hits = metrics.prefix_hits.labels(model)
        self.choices = {
            reason: metrics.choices.labels(model, reason.value) for reason in FinishReason
        }
        self.kept = metrics.citations.labels(model, "kept")
        self.dropped = metrics.citations.labels(model, "dropped")
        self.degraded = metrics.degraded.labels(model)
        self.replaced = metrics.replaced.labels(model)
        self.stored = {
            outcome: metrics.stored.labels(model, outcome.value) for outcome in StoreOutcome
        }
        self.ended = {"OK": metrics.ended.labels(model, "OK")}

    def end(self, code: str) -> None:
        """Count an answer."""
        if code not in self.ended:
            self.ended[code] = self._metrics.ended.labels(self._model, code)
        self.ended[code].inc()


class AnswerMetrics:
    """What is measured of one answer."""

    def __init__(
        self, of: Callable[[str], _OfModel], model: str, clock: Callable[[], float]
    ) -> None:
        self._find = of
        self._of = of(model)
        self._clock = clock
        self._began = clock()
        self._last: Finished | None = None
        self._choices = 0
        self._aborted = False
        self._degraded = False

    def on_first_token(self) -> None:
        """The model begins to say something."""
        self._of.first_token.observe(self._clock() - self._began)

    def on(self, event: AnswerEvent) -> None:
        """Take note of an event."""
        match event:
            case Started():
                answering = self._find(event.model)
                if answering is not self._of:
                    self._of.replaced.inc()
                self._of = answering
            case CitationAdded():
                self._of.kept.inc()
            case Finished():
                self._on_finished(event)

    def end(self, code: str) -> None:
        """Count the answer, and what its last event tells of all of it."""
        self._of.end(code)
        last = self._last
        if code != "OK" or last is None:
            return
        if not self._aborted:
            self._of.seconds.observe(self._clock() - self._began)
        self._of.degraded.inc(int(self._degraded))
        if last.cache is None:
            # Else the model has not worked for it.
            self._count_tokens(last)
            self._time(last)

    def _on_finished(self, finished: Finished) -> None:
        self._last = finished
        self._choices += 1
        self._aborted |= finished.finish_reason is FinishReason.ABORTED
        self._degraded |= bool(finished.degraded_reason)
        self._of.choices[finished.finish_reason].inc()
        self._of.dropped.inc(finished.dropped_citations)
        if finished.stored is not None:
            self._of.stored[finished.stored].inc()

    def _count_tokens(self, last: Finished) -> None:
        usage = last.usage
        self._of.prompt_tokens.inc(usage.prompt_tokens)
        self._of.cached_tokens.inc(usage.cached_tokens)
        self._of.completion_tokens.inc(usage.completion_tokens)
        self._of.prefix_hits.inc(int(usage.cached_tokens > 0))

    def _time(self, last: Finished) -> None:
        for phase, histogram in self._of.phases.items():
            seconds = getattr(last.timings, f"{phase}_s")
            if seconds is not None:
                histogram.observe(seconds)
        # Choices are decoded side by side, and the first token of each belongs to the prefill.
        further = last.usage.completion_tokens - self._choices
        if last.timings.decode_s is not None and further > 0:
            self._of.token.observe(last.timings.decode_s * self._choices / further)
