"""A stream of texts to embed: a bounded number is in hand, and answers keep the order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from groundwire.v1 import embed_service_pb2 as pb
from groundwire_index.errors import GroundwireError

from groundwire_server.embedders.embedder import Embedder, EmbedKind, Priority
from groundwire_server.services.documents import PAUSE_S, read_on
from groundwire_server.services.embed_options import EmbedOptions, embed_options_of, embedded
from groundwire_server.services.validate import MAX_ID_BYTES, require_bytes, require_text
from groundwire_server.services.vectors import fingerprint_message, vector_message
from groundwire_server.services.violations import within

# Items that are read and not answered: batches for the model while answers are on their way.
IN_HAND = 128
# What a client still sends when its call fails is taken in up to here.
_READ_ON_BYTES = 64 * 2**20

Answer = asyncio.Task[pb.EmbedStreamResponse]


class EmbedStream:
    """One call.

    The next item is read when there is room for it, and there is room again when an answer has
    been taken: a client that does not read is not read from.
    """

    def __init__(self, requests: AsyncIterator[pb.EmbedStreamRequest], embedder: Embedder) -> None:
        self._requests = requests
        self._embedder = embedder
        self._options: EmbedOptions | None = None
        self._room = asyncio.Semaphore(IN_HAND)
        self._begun: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._failed = False

    async def answers(self) -> AsyncGenerator[pb.EmbedStreamResponse, None]:
        """One answer for each item, in order. An error comes after the answers before it."""
        reading = asyncio.create_task(self._read())
        try:
            while (answer := await self._begun.get()) is not None:
                yield await answer
                self._room.release()
            await reading
        except GroundwireError:
            await self._let_finish(reading)
            raise
        finally:
            await self._drop(reading)

    async def _read(self) -> None:
        try:
            for number in count():
                await self._room.acquire()
                if (answer := await self._next(number)) is None:
                    return
                self._begun.put_nowait(answer)
        finally:
            self._begun.put_nowait(None)

    async def _next(self, number: int) -> Answer | None:
        with _naming(number):
            request = await anext(self._requests, None)
        if request is None or self._failed:
            return None
        with _naming(number, request.id):
            self._options = self._options or embed_options_of(request, self._embedder)
            require_bytes(request.id, "id", max_bytes=MAX_ID_BYTES)
            require_text(request.input.text, "input.text")
        return asyncio.create_task(self._answer(number, request, self._options))

    async def _answer(
        self, number: int, request: pb.EmbedStreamRequest, options: EmbedOptions
    ) -> pb.EmbedStreamResponse:
        is_query = options.kind is EmbedKind.QUERY
        with _naming(number, request.id):
            embeddings = await embedded(
                self._embedder,
                [request.input.text],
                options,
                field=lambda _: f"messages[{number}].input.text",
                priority=Priority.INTERACTIVE if is_query else Priority.BULK,
            )
        return pb.EmbedStreamResponse(
            id=request.id,
            embedding=vector_message(embeddings.vectors[0]),
            usage=pb.EmbedUsage(
                tokens=embeddings.token_counts[0], truncated_inputs=int(embeddings.truncated[0])
            ),
            fingerprint=None if number else fingerprint_message(options.fingerprint),
        )

    async def _let_finish(self, reading: asyncio.Task[None]) -> None:
        """One reader at a time: what is still being read first, then the rest."""
        self._failed = True
        self._room.release()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(reading, return_exceptions=True), PAUSE_S)
            await read_on(self._requests, _READ_ON_BYTES)

    async def _drop(self, reading: asyncio.Task[None]) -> None:
        """Nobody waits for what is left: it leaves the embedder's queue."""
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        left = []
        while not self._begun.empty():
            if (answer := self._begun.get_nowait()) is not None:
                answer.cancel()
                left.append(answer)
        await asyncio.gather(*left, return_exceptions=True)


@contextmanager
def _naming(number: int, item_id: str = "") -> Iterator[None]:
    """Tell with an error which item it is of."""
    try:
        with within(f"messages[{number}]"):
            yield
    except GroundwireError as error:
        error.metadata = {**error.metadata, "message": str(number), "id": item_id}
        raise
