"""vLLM's own servers, in processes of their own, with the small model."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.models import small_llama

MODEL = "small"
KEY = "sk-hunter2"
HTTP = "vllm.entrypoints.openai.api_server"
GRPC = "vllm.entrypoints.launchers.grpc_server"
# The worker computes in the engine core, in one thread: a process less to start.
FEWER_PROCESSES = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"}
# What the first writes when it serves.
_READY = "Application startup complete"
# It ends its engine core itself, if it is given the time.
_END_S = 30.0


@contextmanager
def vllm_http() -> Iterator[str]:
    """Run the one for the OpenAI API; its address, e.g. ``http://127.0.0.1:12345``."""
    # The only backend that refuses what it cannot hold an output to.
    guidance = ("--structured-outputs-config.backend", "guidance")
    flags = ("--served-model-name", MODEL, "--api-key", KEY, "--enforce-eager", *guidance)
    with vllm_server(HTTP, *flags, "--enable-prompt-tokens-details", env=FEWER_PROCESSES) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def vllm_server(
    module: str, *flags: str, model: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run ``python -m module`` on loopback until the end; its port. ``model``: the small one."""
    port = _free_port()
    command = [
        *(sys.executable, "-m", module, "--model", str(model or small_llama())),
        *("--dtype", "float32"),
        *("--host", "127.0.0.1", "--port", str(port), "--gpu-memory-utilization", "0.3"),
        *flags,
    ]
    environment = {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        **(env or {}),
    }
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            if module == HTTP:
                _wait_until_ready(process, _READY)
            # It writes of every request, and would wait for a reader.
            threading.Thread(target=process.communicate, daemon=True).start()
            if module == GRPC:
                _wait_until_listening(process, port)
            yield port
        finally:
            _end(process.pid)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[str], ready: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if ready in line:
            return
    raise AssertionError("vLLM did not start:\n" + "".join(lines[-40:]))


def _wait_until_listening(process: subprocess.Popen[str], port: int) -> None:
    """It listens when it is ready, and says so nowhere."""
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise AssertionError("vLLM did not start")


def _end(pid: int) -> None:
    if not psutil.pid_exists(pid):
        return
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    process.terminate()
    for left in psutil.wait_procs(family, timeout=_END_S)[1]:
        left.kill()
