"""A Redis that Sentinels watch over: its URL, and connections to whichever is the primary."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
_PORT = 26379
_FORM = "redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/DB]"
_QUERY = {"sentinel_username": "username", "sentinel_password": "password"}


def is_watched(url: str) -> bool:
    """Whether a URL names Sentinels."""
    return url.startswith(SCHEMES)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a URL says: who watches over which service, and how to log in."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    db: int
    login: dict[str, str]
    """To the service's servers."""
    sentinel_login: dict[str, str]
    tls: bool

    @property
    def places(self) -> str:
        """Where the Sentinels are, without what is secret."""
        return ", ".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.sentinels
        )


def watched(url: str) -> Watched:
    """Read a URL; ValueError if it is not of the form."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = map(unquote, login.partition(":"))
    service, _, db = parts.path.removeprefix("/").partition("/")
    query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    if not service or not (db or "0").isdecimal() or not set(query) <= set(_QUERY):
        raise ValueError(f"is not of the form {_FORM}, with ?sentinel_password= where they ask")
    return Watched(
        tuple(_address(host) for host in hosts.split(",")),
        unquote(service),
        int(db or 0),
        _given(username=user, password=password),
        {_QUERY[name]: values[-1] for name, values in query.items()},
        tls=parts.scheme.startswith("rediss"),
    )


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"is not of the form {_FORM}: a host is empty")
    return parts.hostname, parts.port or _PORT


def _given(**options: str) -> dict[str, str]:
    return {name: value for name, value in options.items() if value}


class _Connection(SentinelManagedConnection):
    """Says that it is connected to a replica, rather than that it was lost: nothing was written."""

    read_response = AbstractConnection.read_response  # type: ignore[assignment]


class _TlsConnection(_Connection, SSLConnection):
    """The same with TLS."""


class WatchedPool(SentinelConnectionPool):
    """Connections to the primary, which the Sentinels are asked for each time one is made."""

    def __init__(
        self, to: Watched, retry: Retry, *, timeout_s: float, max_connections: int
    ) -> None:
        # One that does not answer leaves time for the next.
        patience_s = timeout_s / (len(to.sentinels) + 1)
        asking = {
            "socket_timeout": patience_s,
            "socket_connect_timeout": patience_s,
            "retry": retry,
            "ssl": to.tls,
            **to.sentinel_login,
        }
        self._sentinel = Sentinel(to.sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        super().__init__(  # type: ignore[no-untyped-call]
            to.service,
            self._sentinel,
            connection_class=_TlsConnection if to.tls else _Connection,
            retry=retry,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            max_connections=max_connections,
            protocol=2,
            db=to.db,
            **to.login,
        )

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close connections; with those in use, also those to the Sentinels."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self._sentinel.sentinels:
                await sentinel.aclose()
