"""Text from vLLM, in this process; its engine core is a process of its own."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from groundwire_index.errors import (
    InvalidArgumentError,
    UnavailableError,
)
from groundwire_index.records import JsonValue

from groundwire_server.blocking import run_blocking
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    EngineEvent,
    EngineRequest,
    Message,
)
from groundwire_server.engines.prompt_limit import prompt_too_long
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.engines.vllm_adapters import VllmAdapters
from groundwire_server.engines.vllm_constraint import (
    held_to,
    require_compiles,
    structured_outputs,
)
from groundwire_server.engines.vllm_output import ChoiceStreams
from groundwire_server.engines.vllm_parsing import Parsing, VllmParsers
from groundwire_server.engines.vllm_process import VllmProcess
from groundwire_server.engines.vllm_prompt import VllmPrompts
from groundwire_server.engines.vllm_sampling import sampling_arguments
from groundwire_server.engines.vllm_start import import_vllm, require_in_place
from groundwire_server.tracing import current_span
from groundwire_server.waiting import Waiting


class VllmEngine:
    """One model, served by vLLM."""

    name = "vllm"

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        args: Mapping[str, Any] | None = None,
        gpus: str = "",
        tool_parser: str = "",
        reasoning_parser: str = "",
        adapters: Mapping[str, str] | None = None,
        template_arguments: Mapping[str, JsonValue] | None = None,
        max_tokens_default: int = 1024,
    ) -> None:
        """Take a model by folder or hub name, and the name that requests use for it.

        ``args`` are vLLM's own engine arguments. It sees the GPUs of these CUDA numbers, such as
        "0,1", or all. The parsers are named as vLLM names them, and the ``adapters`` are folders by
        the names that requests use for them. The chat template is given ``template_arguments``
        where the request does not say otherwise. An answer has ``max_tokens_default`` tokens at
        most where the request does not say.
        """
        self._source = model
        self._name = name or model.rstrip("/").rsplit("/", 1)[-1]
        self._args = dict(args or {})
        self._gpus = gpus
        self._parsers = VllmParsers(tool_parser, reasoning_parser)
        self._adapters = VllmAdapters(adapters or {})
        self._template_arguments = dict(template_arguments or {})
        self._max_tokens_default = max_tokens_default
        self._process = VllmProcess()
        self._vllm: Any = None
        self._running: set[str] = set()
        # Prompt tokens of each that has no token yet.
        self._waiting: dict[str, int] = {}
        self._defaults: Mapping[str, Any] = {}

    @property
    def model(self) -> str:
        """The model name that requests use."""
        return self._name

    @property
    def adapters(self) -> tuple[str, ...]:
        """The LoRA adapters that requests may name."""
        return self._adapters.names

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together; 0 before `start`."""
        return 0 if self._vllm is None else int(self._vllm.model_config.max_model_len)

    @property
    def waiting(self) -> Waiting:
        """Generations whose first token is not there yet, and the tokens of their prompts."""
        return Waiting(len(self._waiting), sum(self._waiting.values()))

    async def start(self) -> None:
        """Load the model. Raises FailedPreconditionError if that cannot be."""
        require_in_place(self._source)
        self._adapters.require_in_place()
        await run_blocking(import_vllm)
        self._parsers.require_known()
        args = {
            **self._parsers.engine_arguments,
            **self._adapters.engine_arguments(self._args),
            **self._args,
        }
        vllm = await self._process.start(self._source, args, self._gpus)
        # Else the first request would ask, and wait for ever if the engine core has just died.
        await vllm.get_supported_tasks()
        self._parsers.start(vllm)
        await self._adapters.load(vllm)
        self._defaults = vllm.model_config.get_diff_sampling_param()
        self._vllm = vllm

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation; see `Engine`."""
        vllm = self._alive()
        if self._template_arguments:
            template = request.template.over(self._template_arguments)
            request = replace(request, template_arguments=template.arguments)
        parsing = self._parsers.parsing(request)
        prompt = await self._prompts.rendered(
            request.messages if request.prompt is None else request.prompt,
            request.template,
        )
        sampling = await self._sampling(request, parsing, self._room(prompt))
        yield Accepted(len(prompt["prompt_token_ids"]))
        # It may have died while the request waited for its turn.
        self._alive()
        streams = ChoiceStreams(request.sampling.n, parsing, held_to(request))
        # Ours, because the ids of two tenants may be equal.
        request_id = uuid.uuid4().hex
        self._running.add(request_id)
        self._waiting[request_id] = len(prompt["prompt_token_ids"])
        try:
            yield Begun()
            with self._errors():
                outputs = vllm.generate(
                    prompt,
                    sampling,
                    request_id,
                    priority=request.priority,
                    trace_headers=self._trace_headers(),
                    lora_request=self._adapters.request(request.adapter),
                    **self._parsers.generate_arguments(request),
                )
                async with contextlib.aclosing(outputs):
                    async for output in outputs:
                        self._waiting.pop(request_id, None)
                        for event in streams.add(output):
                            yield event
        finally:
            self._running.discard(request_id)
            self._waiting.pop(request_id, None)
            if not streams.ended:
                # vLLM frees a request that it has handed over; this is for one cut off before.
                await vllm.abort(request_id)
        yield streams.end()

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        """Count the tokens of a text, or of messages as `generate` would read them.

        The tokenizer is in this process, so this works also when the engine core has died.
        """
        self._started()
        return await self._prompts.count(content, template.over(self._template_arguments))

    async def check(self) -> None:
        """Raise UnavailableError if requests would fail now."""
        self._alive()

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent; also after a start that was cut off."""
        self._vllm = None
        await self._process.close(self._running)

    def _trace_headers(self) -> Mapping[str, str] | None:
        """For spans of its own, where it is told to send some."""
        if self._vllm.observability_config.otlp_traces_endpoint is None:
            return None
        return current_span.get().headers or None

    @property
    def _prompts(self) -> VllmPrompts:
        return VllmPrompts(self._vllm.renderer, self._name)

    def _started(self) -> Any:
        if self._vllm is None:
            raise UnavailableError(f'vLLM is not serving "{self._name}"', reason="STARTING")
        return self._vllm

    def _alive(self) -> Any:
        vllm = self._started()
        if vllm.errored:
            raise self._dead()
        return vllm

    def _room(self, prompt: Any) -> int:
        """Tokens that the context leaves for the answer."""
        length = len(prompt["prompt_token_ids"])
        room = self.context_length - length
        if room < 1:
            raise prompt_too_long(self._name, length, self.context_length)
        return room

    async def _sampling(self, request: EngineRequest, parsing: Parsing, room: int) -> Any:
        """As vLLM's ``SamplingParams``, with a form of the output that compiles."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        arguments = sampling_arguments(
            request.sampling, self._defaults, max_tokens_default=self._max_tokens_default, room=room
        )
        with self._errors():
            sampling = SamplingParams(
                **arguments,
                structured_outputs=structured_outputs(request),
                skip_special_tokens=parsing.skips_special_tokens,
                output_kind=RequestOutputKind.DELTA,
            )
        await require_compiles(self._vllm, sampling, request)
        return sampling

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            yield
        except EngineDeadError:
            raise self._dead() from None
        except VLLMClientError as error:
            raise InvalidArgumentError("sampling", str(error)) from error

    def _dead(self) -> UnavailableError:
        return UnavailableError(
            f'the engine core of "{self._name}" has died; its last lines in the log say why',
            reason="ENGINE_DEAD",
            retry_after_s=30.0,
        )
