"""What is set for vLLM reaches it, and what it does not take is said in its words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generation_pb2 import SamplingParameters
from groundwire_index.errors import FailedPreconditionError
from groundwire_server.engines.engine import EngineRequest, Sampling, TextPiece
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.engines.vllm_ending import EndsWithServer

from tests.collector import Collector, collecting, tracing
from tests.e2e.generate.serving import Serve
from tests.e2e.generate.test_generate_traced import TRACE, TRACED, traced
from tests.models import VLLM_ARGS, small_llama

pytestmark = pytest.mark.vllm


class NotStartedError(ValueError):
    """In place of the engine core."""


@pytest.fixture
async def arrived(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The engine arguments that vLLM was started with; it goes no further."""
    from groundwire_server.blocking import run_blocking
    from groundwire_server.engines.vllm_start import import_vllm

    await run_blocking(import_vllm)
    from vllm.v1.engine.async_llm import AsyncLLM

    found: list[Any] = []

    def start(arguments: Any, *_: Any, **__: Any) -> None:
        # Kept with them, for what vLLM takes from the environment alone.
        arguments.threads = os.environ.get("OMP_NUM_THREADS")
        found.append(arguments)
        raise NotStartedError("not here")

    monkeypatch.setattr(AsyncLLM, "from_engine_args", start)
    return found


async def started_with(arrived: list[Any], **options: Any) -> Any:
    engine = VllmEngine(str(small_llama()), **options)
    with pytest.raises(FailedPreconditionError, match="not here"):
        await engine.start()
    await engine.close()
    return arrived.pop()


async def test_engine_arguments_reach_vllm(arrived: list[Any]) -> None:
    args = {
        "tensor_parallel_size": 4,
        "pipeline_parallel_size": 2,
        "distributed_executor_backend": "ray",
        "quantization": "fp8",
        "kv_cache_dtype": "fp8",
        "max_model_len": 256,
        "gpu_memory_utilization": 0.8,
        "enable_prefix_caching": False,
        "max_num_seqs": 7,
    }
    got = await started_with(arrived, args=args)
    assert {name: getattr(got, name) for name in args} == args
    assert got.model == str(small_llama())
    # Requests have priorities, whatever else is set; workers elsewhere cannot watch this process.
    assert got.scheduling_policy == "priority"
    assert got.additional_config == {}


async def test_what_is_set_goes_before_what_would_be(arrived: list[Any]) -> None:
    args = {"scheduling_policy": "fcfs", "max_num_seqs": 3, "additional_config": {"a": 1}}
    got = await started_with(arrived, args=args)
    assert (got.scheduling_policy, got.max_num_seqs) == ("fcfs", 3)
    # What is not vLLM's ends its processes.
    assert got.additional_config["a"] == 1
    assert [type(one) for one in got.additional_config.values()] == [int, EndsWithServer]


@pytest.mark.parametrize(
    ("processors", "args", "environment", "together"),
    [
        (1, {}, {}, True),
        (2, {}, {}, True),
        (3, {}, {}, False),
        (2, {"tensor_parallel_size": 1}, {}, True),
        (2, {"tensor_parallel_size": 2}, {}, False),
        (2, {"data_parallel_size": 2}, {}, False),
        (2, {"distributed_executor_backend": "mp"}, {}, False),
        (2, {}, {"VLLM_CPU_OMP_THREADS_BIND": "0"}, False),
        (2, {}, {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}, False),
    ],
)
async def test_a_worker_of_one_thread_has_no_process_of_its_own(
    arrived: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    processors: int,
    args: dict[str, Any],
    environment: dict[str, str],
    together: bool,
) -> None:
    from vllm.platforms import current_platform
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(processors)))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    got = await started_with(arrived, args=args)
    assert current_platform.is_cpu()
    assert (got.distributed_executor_backend is UniProcExecutor) is together
    assert got.threads == ("1" if together else None)


async def test_the_engine_core_knows_where_reasoning_ends(arrived: list[Any]) -> None:
    assert (await started_with(arrived, reasoning_parser="qwen3")).reasoning_parser == "qwen3"
    assert not (await started_with(arrived)).reasoning_parser


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"tensor_paralel_size": 2}, "vllm_args: vLLM has no engine argument tensor_paralel_size"),
        ({"quantization": "banana"}, "banana"),
        ({"max_model_len": 100_000}, "100000"),
        ({"tensor_parallel_size": 3}, "divisible by tensor parallel size"),
    ],
)
async def test_an_argument_that_vllm_refuses_ends_the_start(
    args: dict[str, Any], said: str
) -> None:
    engine = VllmEngine(str(small_llama()), args={**VLLM_ARGS, **args})
    with pytest.raises(FailedPreconditionError, match=said):
        await engine.start()
    await engine.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tool_parser": "hermess"}, 'vllm_tool_parser: .* no parser "hermess"; .* hermes, '),
        ({"reasoning_parser": "qwen33"}, 'vllm_reasoning_parser: .* no parser "qwen33"; .* qwen3'),
        ({"reasoning_parser": "deepseek_r1"}, "could not locate think start/end tokens"),
    ],
)
async def test_a_parser_that_there_is_not_or_does_not_fit_ends_the_start(
    options: dict[str, str], said: str
) -> None:
    engine = VllmEngine(str(small_llama()), args=VLLM_ARGS, **options)
    with pytest.raises(FailedPreconditionError, match=said):
        await engine.start()
    await engine.close()


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
async def engine(collector: Collector) -> AsyncIterator[VllmEngine]:
    """Runs one request at a time, over two processes, and tells the collector of each."""
    args = {
        **VLLM_ARGS,
        "tensor_parallel_size": 2,
        "max_model_len": 256,
        "max_num_seqs": 1,
        "otlp_traces_endpoint": collector.url,
    }
    with pytest.MonkeyPatch.context() as environment:
        # On a CPU vLLM gives each process a memory node, unless it is told which cores.
        environment.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
        # Spans are sent so often.
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        engine = VllmEngine(str(small_llama()), name="small", args=args)
        await engine.start()
    yield engine
    await engine.close()


async def test_a_model_over_two_processes_says_what_it_says_in_one(engine: VllmEngine) -> None:
    request = EngineRequest("r", Sampling(temperature=0.0, max_tokens=4), prompt="The lamps are")
    events = [event async for event in engine.generate(request)]
    assert "".join(event.text for event in events if isinstance(event, TextPiece)) == said_in_one()
    assert engine.context_length == 256


def said_in_one() -> str:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_llama())
    model = AutoModelForCausalLM.from_pretrained(small_llama(), dtype=torch.float32)
    ids = tokenizer("The lamps are", return_tensors="pt").input_ids
    with torch.no_grad():
        for _ in range(4):
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=-1)
    return str(tokenizer.decode(ids[0, -4:]))


async def test_who_has_a_lower_priority_runs_first(engine: VllmEngine) -> None:
    order: list[int] = []

    async def ask(priority: int, tokens: int) -> None:
        sampling = Sampling(max_tokens=tokens, seed=1, temperature=1.0)
        request = EngineRequest("r", sampling, prompt="The lamps are", priority=priority)
        async for event in engine.generate(request):
            if isinstance(event, TextPiece) and priority not in order:
                order.append(priority)

    await asyncio.gather(ask(0, 100), ask(9, 2), ask(5, 2), ask(7, 2))

    assert order == [0, 5, 7, 9]


async def test_vllm_is_told_of_the_trace_for_spans_of_its_own(
    serve: Serve, engine: VllmEngine, collector: Collector
) -> None:
    request = GenerateRequest(prompt="Why?", sampling=SamplingParameters(max_tokens=2))
    async with tracing(collector) as tracer, serve(engine, interceptors=traced(tracer)) as serving:
        await serving.stub.Complete(CompleteRequest(request=request), metadata=TRACED)
        own = await collector.wait_for("llm_request", TRACE)
    answer = collector.span("text_completion small")
    assert (own.trace_id, own.parent_id) == (TRACE, answer.span_id)
