"""A way to Redis on which answers can be late, or lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class LossyNetwork:
    """Passes everything on, but for answers that are to be lost with their connection."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._to_pass = 0
        self._to_lose = 0
        self.lost = 0
        self.delay_s = 0.0
        """Before each answer."""

    def lose_answers(self, count: int, *, after: int = 0) -> None:
        """Lose so many, after so many that are passed on."""
        self._to_pass, self._to_lose = after, count

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen on 127.0.0.1; yields the URL."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        async with server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._upstream)
        try:
            async with asyncio.TaskGroup() as both:
                answers = both.create_task(self._pass_answers(up_reader, writer))
                requests = both.create_task(self._pass_requests(reader, up_writer))
                await asyncio.wait((answers, requests), return_when=asyncio.FIRST_COMPLETED)
                answers.cancel()
                requests.cancel()
        finally:
            for end in (writer, up_writer):
                end.close()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, up_writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(2**16):
            up_writer.write(data)

    async def _pass_answers(
        self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await up_reader.read(2**16):
            if self._to_pass:
                self._to_pass -= 1
            elif self._to_lose:
                self._to_lose -= 1
                self.lost += 1
                return
            await asyncio.sleep(self.delay_s)
            writer.write(data)
