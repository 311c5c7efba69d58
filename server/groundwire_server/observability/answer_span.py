"""The span of an answer, by OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from time import perf_counter

from groundwire_server.grounding.events import AnswerEvent, Finished, Started
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.tracing import current_span


class AnswerSpan:
    """Begins at once, as the current span: what else is done for the answer is a part of it.

    Its last parts are the model's phases. Those of an answer that was cut off are as long as
    they were seen to be.
    """

    def __init__(self, request: AnswerRequest, model: str) -> None:
        operation = "chat" if request.prompt is None else "text_completion"
        sampling = request.sampling
        asked = {
            "gen_ai.request.choice.count": sampling.n if sampling.n > 1 else None,
            "gen_ai.request.max_tokens": sampling.max_tokens,
            "gen_ai.request.temperature": sampling.temperature,
            "gen_ai.request.top_p": sampling.top_p,
        }
        self._span = current_span.get().begin(
            f"{operation} {model}",
            {
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": model,
                "gen_ai.response.id": request.request_id,
                **{key: value for key, value in asked.items() if value is not None},
            },
        )
        current_span.set(self._span)
        self._began = perf_counter()
        self._started: float | None = None
        self._first_token: float | None = None
        self._finished: list[Finished] = []

    def on_first_token(self) -> None:
        """The model begins to say something."""
        self._first_token = perf_counter()
        self._span.set({"gen_ai.response.time_to_first_chunk": self._first_token - self._began})

    def on(self, event: AnswerEvent) -> None:
        """Take note of an event."""
        match event:
            case Started():
                self._started = perf_counter()
                self._span.set(
                    {"gen_ai.provider.name": event.engine, "gen_ai.response.model": event.model}
                )
            case Finished():
                self._finished.append(event)

    def end(self, code: str) -> None:
        """Say what came of it, and when."""
        if code == "OK" and self._finished:
            self._add_phases(self._finished[-1])
            self._say_results(self._finished[-1])
        else:
            self._add_what_was_seen(perf_counter())
        self._span.end("" if code == "OK" else code)

    def _add_phases(self, last: Finished) -> None:
        if self._first_token is None:
            return
        timings = last.timings
        prefill_began = self._first_token - (timings.prefill_s or 0.0)
        if timings.queue_s is not None:
            self._span.add("queue", prefill_began - timings.queue_s, prefill_began)
        if timings.prefill_s is not None:
            self._span.add("prefill", prefill_began, self._first_token)
        if timings.decode_s is not None:
            self._span.add("decode", self._first_token, self._first_token + timings.decode_s)

    def _add_what_was_seen(self, ended: float) -> None:
        if self._started is not None:
            self._span.add("prefill", self._started, self._first_token or ended)
        if self._first_token is not None:
            self._span.add("decode", self._first_token, ended)

    def _say_results(self, last: Finished) -> None:
        self._span.set(
            {
                "gen_ai.response.finish_reasons": [
                    one.finish_reason.value for one in self._finished
                ],
                "gen_ai.usage.input_tokens": last.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": last.usage.completion_tokens,
                "gen_ai.usage.cache_read.input_tokens": last.usage.cached_tokens,
                "groundwire.dropped_citations": sum(
                    one.dropped_citations for one in self._finished
                ),
                "groundwire.degraded": bool(last.degraded_reason),
            }
        )
