"""What `doctor` asks the machine: processor, memory, disk, GPU, ports."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil
import pynvml
from groundwire_index.errors import GroundwireError

from groundwire_server.addresses import Address
from groundwire_server.cli.finding import Finding, Probe

GIB = 2**30
# Embedded defaults idle below this; a little more is needed to work.
NEEDED_MEMORY = 1 * GIB
NEEDED_DISK = 1 * GIB

# From the newest to the oldest: the flag, and what it is good for.
VECTOR_UNITS = (
    ("amx_bf16", "matrix units for bf16: embedding and vLLM on the CPU run at their best"),
    ("avx512_bf16", "bf16 in hardware: embedding runs in half precision, about twice as fast"),
    ("avx512f", "wide vectors: search and vLLM's CPU build use them; embedding runs in fp32"),
    ("avx2", "enough for search, embedding in fp32, and vLLM's CPU build"),
    ("asimd", "enough for search and embedding"),
)


def machine(data_dir: Path) -> Sequence[Probe]:
    """The probes of the machine, in the order to show them."""
    return (
        operating_system,
        processor,
        memory,
        partial(disk, data_dir),
        gpu,
        partial(port, "gRPC port", "127.0.0.1:50051", "--listen"),
        partial(port, "metrics port", "127.0.0.1:9464", "--metrics-listen"),
    )


def operating_system() -> Finding:
    """Linux, and on what architecture."""
    value = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if platform.system() == "Linux":
        return Finding("system", "ok", value, "The server runs on Linux.")
    return Finding("system", "problem", value, "The server runs on Linux only.")


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Finding:
    """Cores, and the best vector unit."""
    cores = f"{len(os.sched_getaffinity(0))} cores"
    flags = _flags(cpuinfo)
    listed = [flag for flag, _ in VECTOR_UNITS if flag in flags]
    value = f"{_model(cpuinfo)}, {cores}, {', '.join(listed) or 'no vector unit that is known'}"
    for flag, meaning in VECTOR_UNITS:
        if flag in flags:
            return Finding("processor", "ok", value, f"{flag}: {meaning}.")
    return Finding("processor", "note", value, "It works, slowly: without AVX2, no vLLM on CPU.")


def memory() -> Finding:
    """Memory that can be had without swapping."""
    found = psutil.virtual_memory()
    value = f"{found.available / GIB:.1f} of {found.total / GIB:.1f} GiB available"
    if found.available < NEEDED_MEMORY:
        return Finding("memory", "problem", value, "The server on its defaults needs 1 GiB.")
    return Finding(
        "memory", "ok", value, "The server on its defaults takes under 1 GiB, vLLM its model more."
    )


def disk(data_dir: Path) -> Finding:
    """Room for data, and the right to write there."""
    folder = _existing(data_dir.absolute())
    free = shutil.disk_usage(folder).free
    value = f"{free / GIB:.1f} GiB free for {data_dir}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", "problem", value, f"{folder} cannot be written: try --data-dir.")
    if free < NEEDED_DISK:
        return Finding("disk", "note", value, "Little: a full disk stops writes, not reads.")
    return Finding("disk", "ok", value, "A million passages take about 4 GiB.")


def gpu() -> Finding:
    """NVIDIA GPUs, by their driver."""
    try:
        pynvml.nvmlInit()
        found = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        names = [
            f"{pynvml.nvmlDeviceGetName(one)} "
            f"({pynvml.nvmlDeviceGetMemoryInfo(one).total / GIB:.0f} GiB)"
            for one in found
        ]
    except pynvml.NVMLError as error:
        return Finding(
            "GPU", "note", f"none ({error})", "Not needed: search and embedding run on the CPU."
        )
    return Finding(
        "GPU", "ok", ", ".join(names) or "none", "vLLM and the embedder use it where installed."
    )


def port(name: str, address: str, flag: str) -> Finding:
    """Whether a default port can be had."""
    try:
        Address.parse(address).require_free(flag)
    except GroundwireError as error:
        return Finding(name, "note", f"{address} taken", f"{error.message}.".replace("..", "."))
    return Finding(name, "ok", f"{address} free", f"Another can be chosen with {flag}.")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _lines(cpuinfo: Path, key: str) -> str:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2] for line in lines if line.startswith(key)), "").strip()


def _model(cpuinfo: Path) -> str:
    return _lines(cpuinfo, "model name") or platform.machine()


def _flags(cpuinfo: Path) -> frozenset[str]:
    return frozenset((_lines(cpuinfo, "flags") or _lines(cpuinfo, "Features")).split())
