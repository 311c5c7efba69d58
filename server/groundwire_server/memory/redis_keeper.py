"""Who keeps a Redis running, and what that means for calls that need it."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from groundwire_server.memory.redis_sentinel import is_watched, watched

_DEFAULT_PORT = 6379


class RedisKeeper(Protocol):
    """Whoever starts a Redis and looks after its disk: `RedisServer`, or someone else."""

    @property
    def remedy(self) -> str:
        """What to do when it is away, as the end of a sentence; nothing in it is secret."""
        ...

    async def require_room(self, size: int) -> None:
        """Raise ResourceExhaustedError unless so many bytes can be written and kept.

        Called before each write, and again when the Redis was started since the last one.
        Raises NotConnectedError if the Redis cannot be reached.
        """
        ...


class SomeoneElse:
    """Keeps the Redis behind a URL; its disk is seen by no one here."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def remedy(self) -> str:
        """Where it should answer, without the credentials of the URL."""
        return f"check that {_place(self._url)} answers, then retry"

    async def require_room(self, size: int) -> None:
        """Do nothing: it refuses by itself what it cannot write."""


def _place(url: str) -> str:
    if is_watched(url):
        to = watched(url)
        return f"the primary of {to.service} that the Sentinels at {to.places} name"
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return "the Redis at the socket in redis_url"
    host = parts.hostname or "localhost"
    return f"the Redis at {f'[{host}]' if ':' in host else host}:{parts.port or _DEFAULT_PORT}"
