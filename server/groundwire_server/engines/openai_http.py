"""The HTTP side of a server of the OpenAI API: connections, tries, streams."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Self, TypeVar

import aiohttp
import tenacity
from groundwire_index.errors import GroundwireError, ResourceExhaustedError, UnavailableError

from groundwire_server.engines.openai_errors import BrokenError, Refusal, error_of
from groundwire_server.engines.openai_sse import ServerSentEvents
from groundwire_server.tracing import current_span

# A server that can be reached takes a connection within so many seconds,
_CONNECT_S = 5.0
# and answers a question that needs no model within so many.
_QUESTION_S = 1.5
_TRIES = 3
_FIRST_PAUSE_S = 0.1
# A server that wants to be left alone for longer is told of instead.
_LONGEST_PAUSE_S = 5.0
_DONE = b"[DONE]"

Answer = TypeVar("Answer")


class OpenAiServer:
    """One server. Its errors are those of `openai_errors`; the key is in none of them."""

    def __init__(
        self, url: str, api_key: str, *, silence_s: float, settings: str = "openai"
    ) -> None:
        """``url`` is that of the API, e.g. ``http://host:8000/v1``.

        A server that says nothing for ``silence_s`` seconds while it answers is given up.
        ``settings`` begins the names of those that it is set up by, for its errors.
        """
        self.settings = settings
        self.url = url.rstrip("/")
        self._root = self.url.removesuffix("/v1")
        self._key = api_key
        self._silence_s = silence_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=silence_s),
            headers={
                # Compressed, the events of a stream would wait for one another.
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {api_key}"} if api_key else {}),
            },
        )

    async def get(self, path: str) -> bytes:
        """Ask for what is at a path of the API. Once: whoever asks does so again."""
        return await self._asked("GET", self.url + path, None)

    async def get_root(self, path: str) -> bytes:
        """The same at a path from the root of the server."""
        return await self._asked("GET", self._root + path, None)

    async def post_root(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask with JSON, for JSON, at a path from the root; tried again where that may help."""

        async def ask() -> bytes:
            return await self._asked("POST", self._root + path, body)

        return self.json(await tried(ask))

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask a model with JSON, for JSON; tried again where that may help."""

        async def ask() -> bytes:
            response = await self.opened(path, body)
            try:
                with self.errors():
                    return await response.read()
            finally:
                response.close()

        return self.json(await tried(ask))

    @asynccontextmanager
    async def streamed(
        self, path: str, body: Mapping[str, Any], deadline: float | None
    ) -> AsyncIterator[EventStream]:
        """The stream that answers a request. Left, it is closed at once.

        No try begins after the ``deadline``, by the event loop's clock.
        """
        stream = EventStream(self, path, body, deadline)
        try:
            yield stream
        finally:
            stream.close()

    async def opened(self, path: str, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
        """The answer to one request, of which only the status has been read."""
        self.require_open()
        with self.errors():
            response = await self._session.post(
                self.url + path,
                json=body,
                headers=current_span.get().headers,
                allow_redirects=False,
            )
            try:
                await self._require_success(response)
            except BaseException:
                response.close()
                raise
        return response

    async def close(self) -> None:
        """Close every connection, ending what still runs. Idempotent."""
        await self._session.close()

    def require_open(self) -> None:
        """Raise UnavailableError after `close`."""
        if self._session.closed:
            raise UnavailableError(f"the client of {self.url} is closed", reason="STOPPING")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what goes wrong on the way into UnavailableError."""
        try:
            yield
        except aiohttp.SocketTimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise BrokenError(f"{self.url} cannot be reached: {error}") from None
            raise UnavailableError(
                f"{self.url} said nothing for {self._silence_s:g} s ({self.settings}_silence_s)",
                reason="REMOTE_SILENT",
            ) from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientConnectorDNSError) as error:
            raise BrokenError(f"{self.url} cannot be reached: {error}") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            why = str(error) or type(error).__name__
            raise BrokenError(f"{self.url} broke off: {why}") from None

    def json(self, data: bytes) -> Any:
        """Read JSON. Raises UnavailableError for anything else."""
        try:
            return json.loads(data)
        except ValueError:
            said = data[:100].decode("utf-8", "replace")
            raise UnavailableError(
                f"{self.url} answered with what is no JSON: {said!r}. Is {self.settings}_url the "
                "address of an OpenAI-compatible API?",
                reason="REMOTE_PROTOCOL",
            ) from None

    def error(self, refusal: Refusal) -> GroundwireError:
        """The error for a refusal of this server, without the key."""
        if self._key:
            refusal = replace(refusal, message=refusal.message.replace(self._key, "***"))
        return error_of(refusal, self.url, self.settings)

    async def _asked(self, method: str, url: str, body: Mapping[str, Any] | None) -> bytes:
        self.require_open()
        try:
            async with asyncio.timeout(_QUESTION_S):
                with self.errors():
                    async with self._session.request(
                        method, url, json=body, allow_redirects=False
                    ) as response:
                        await self._require_success(response)
                        return await response.read()
        except TimeoutError:
            raise BrokenError(f"{url} did not answer within {_QUESTION_S:g} s") from None

    async def _require_success(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            return
        body = await response.read()
        raise self.error(Refusal.read(response.status, body, response.headers))


class EventStream:
    """The events of one answer, as JSON. Another try is made only until the first of them."""

    def __init__(
        self, server: OpenAiServer, path: str, body: Mapping[str, Any], deadline: float | None
    ) -> None:
        self._server = server
        self._path = path
        self._body = body
        self._deadline = deadline
        self._response: aiohttp.ClientResponse | None = None
        self._events = ServerSentEvents()
        self._ready: deque[bytes] = deque()
        self._begun = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        event = await (self._next() if self._begun else tried(self._first, self._deadline))
        self._begun = True
        if event is None:
            raise StopAsyncIteration
        return event

    def close(self) -> None:
        """Drop the connection, whatever is under way: so the server learns of it. Idempotent."""
        if self._response is not None:
            self._response.close()
            self._response = None

    async def _first(self) -> Any:
        # Nothing is read of the try before.
        self._events, self._ready = ServerSentEvents(), deque()
        self._response = await self._server.opened(self._path, self._body)
        try:
            event = await self._next()
            if event is None:
                raise BrokenError(f"{self._server.url} ended its answer before it began")
        except GroundwireError:
            self.close()
            raise
        return event

    async def _next(self) -> Any:
        """The next event; None at the end."""
        while not self._ready:
            chunk = await self._read()
            if not chunk:
                return None
            self._ready.extend(self._events.feed(chunk))
        data = self._ready.popleft()
        if data == _DONE:
            return None
        event = self._server.json(data)
        if isinstance(event, dict) and "error" in event:
            raise self._server.error(Refusal.told(event))
        return event

    async def _read(self) -> bytes:
        self._server.require_open()
        if self._response is None:
            raise BrokenError(f"the answer of {self._server.url} was closed")
        with self._server.errors():
            return await self._response.content.readany()


async def tried(call: Callable[[], Awaitable[Answer]], deadline: float | None = None) -> Answer:
    """What an ``async def`` gives, in one of a few tries that begin before the deadline."""
    clock = asyncio.get_running_loop().time

    def is_last(state: tenacity.RetryCallState) -> bool:
        is_late = deadline is not None and clock() + state.upcoming_sleep >= deadline
        return is_late or state.attempt_number >= _TRIES

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=is_last,
        wait=_pause,
        reraise=True,
    )
    return await retrying(call)


def _may_pass(error: BaseException) -> bool:
    after = _asked_pause(error)
    return after is not None and after <= _LONGEST_PAUSE_S


def _asked_pause(error: BaseException | None) -> float | None:
    """Seconds that the server asked for; None where another try is of no use."""
    if isinstance(error, BrokenError):
        return error.pause_s
    return error.retry_after_s if isinstance(error, ResourceExhaustedError) else None


_backoff = tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(_backoff(state), _asked_pause(error) or 0.0)
