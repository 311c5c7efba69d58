"""A server of the OpenAI API that answers as it is told, also wrongly, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

MODEL = "remote"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class ScriptedHttp:
    """Answers each POST with the next of its answers, and says what models it has.

    Every connection ends after one answer, unless the answer goes on.
    """

    def __init__(self, *answers: Answer, models: Answer | None = None) -> None:
        self.answers = list(answers)
        self.models = models or answering(200, {"data": [{"id": MODEL, "owned_by": "me"}]})
        self.requests: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.left = asyncio.Event()
        """Set when a client has dropped its connection."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if head.startswith("GET"):
                await self.models(writer)
            else:
                length = next(
                    line for line in head.lower().split("\r\n") if "content-length" in line
                )
                body = await reader.readexactly(int(length.partition(":")[2]))
                self.requests.append(json.loads(body))
                gone = asyncio.create_task(self._wait_for_end(reader))
                await self.answers.pop(0)(writer)
                gone.cancel()
        writer.close()

    async def _wait_for_end(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            await reader.read()
        self.left.set()


def answering(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """One whole answer; JSON, or bytes as they are."""

    async def write(writer: asyncio.StreamWriter) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(data)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        await writer.drain()

    return write


def streaming(*chunks: bytes, hang: bool = False, cut: bool = False) -> Answer:
    """A stream that sends these bytes one by one, then ends, hangs, or is cut off."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        for chunk in chunks:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
            # Given to the reader before the next one is sent.
            await asyncio.sleep(0)
        if hang:
            await forever(writer)
        if not cut:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    return write


async def forever(writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client has gone."""
    while not writer.transport.is_closing():  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)


async def silent(writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer it."""
    await forever(writer)


def event(told: Any) -> bytes:
    return b"data: " + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


def said(text: str, *, choice: int = 0, finish: str | None = None) -> bytes:
    """One event of a chat."""
    delta = {"index": choice, "delta": {"content": text}, "finish_reason": finish}
    return event({"choices": [delta]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
DONE = b"data: [DONE]\n\n"
HELLO = streaming(said("Hello"), said(" there", finish="stop"), USAGE, DONE)
