"""h2load as the client of a server: it costs a small part of what a client in Python does.

It is in Debian's nghttp2-client.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}


@dataclass(frozen=True, slots=True)
class Post:
    """A request that is sent again and again."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: GRPC_HEADERS)
    http1: bool = False
    """One connection for each that is under way, instead of one for all."""


def grpc_post(address: str, path: str, message: bytes) -> Post:
    """A call of a gRPC method, as it is sent: not compressed, and its length before it."""
    framed = b"\0" + len(message).to_bytes(4, "big") + message
    return Post(f"http://{address}{path}", framed)


def require_h2load() -> None:
    """Raise SystemExit, with what to install, if it is not there."""
    if shutil.which("h2load") is None:
        raise SystemExit("h2load is not installed; in Debian it is in nghttp2-client")


async def sent(post: Post, requests: int, at_once: int, *, connections: int = 1) -> float:
    """Seconds until so many requests have succeeded, so many of them at once.

    Those that speak HTTP/2 share the connections. Ended early, it stops at once.
    """
    with tempfile.NamedTemporaryFile() as body:
        await asyncio.to_thread(Path(body.name).write_bytes, post.body)
        clients = at_once if post.http1 else connections
        flags = ["-n", str(requests), "-c", str(clients), "-d", body.name]
        flags += ["--h1"] if post.http1 else ["-m", str(-(-at_once // clients))]
        for name, value in post.headers.items():
            flags += ["-H", f"{name}: {value}"]
        process = await asyncio.create_subprocess_exec(
            "h2load", *flags, post.url, stdout=asyncio.subprocess.PIPE
        )
        try:
            said = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return _seconds(said, requests)


def _seconds(said: str, requests: int) -> float:
    seconds = re.search(r"finished in ([\d.]+)(us|ms|s|m|h),", said)
    succeeded = re.search(r"(\d+) succeeded", said)
    if not seconds or not succeeded or int(succeeded[1]) != requests:
        raise AssertionError(f"not all of {requests} requests succeeded:\n{said}")
    return float(seconds[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}[seconds[2]]
