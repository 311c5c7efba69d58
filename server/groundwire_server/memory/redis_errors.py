"""What Redis and its client say when they fail -> errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from redis import exceptions


class NotConnectedError(exceptions.ConnectionError):
    """No connection could be had: nothing was sent."""


_NOTHING_SENT = (
    NotConnectedError,
    exceptions.MaxConnectionsError,
    exceptions.RedisClusterException,
)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A reason for which Redis writes nothing, by the client's exception and by its word.

    The client takes the word away when it has an exception for it; a server before version 7
    puts other words in front when a script is refused.
    """

    kind: type[Exception] | None
    word: str
    meaning: str
    full: bool = False

    def covers(self, error: Exception) -> bool:
        return (self.kind is not None and isinstance(error, self.kind)) or self.word in str(error)


_REFUSALS = (
    _Refusal(
        exceptions.OutOfMemoryError,
        "OOM ",
        "has no memory left: raise its maxmemory, or delete sessions",
        full=True,
    ),
    _Refusal(None, "MISCONF", "cannot write to its disk: free some space", full=True),
    _Refusal(exceptions.ReadOnlyError, "READONLY", "is a read-only replica: retry"),
    _Refusal(exceptions.BusyLoadingError, "LOADING", "is loading its data: retry"),
    _Refusal(exceptions.MasterDownError, "MASTERDOWN", "has lost its primary: retry"),
    _Refusal(exceptions.ClusterDownError, "CLUSTERDOWN", "is a cluster that is down: retry"),
    _Refusal(exceptions.TryAgainError, "TRYAGAIN", "is moving this session: retry"),
    _Refusal(exceptions.ClusterError, "TTL exhausted", "is moving this session: retry"),
    _Refusal(None, "NOREPLICAS", "has too few replicas to accept writes: retry"),
    _Refusal(None, "BUSY ", "is busy with a script: retry"),
)


@contextmanager
def store_errors(*, writes: bool) -> Iterator[None]:
    """Raise UnavailableError or ResourceExhaustedError for what the client raises inside.

    With ``writes``, a connection that is lost before the answer leaves unknown whether the
    write took place; the error's reason is then OUTCOME_UNKNOWN. In every other case nothing
    was written.
    """
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        raise _unavailable(f"refuses the user of redis_url: {error}") from error
    except _NOTHING_SENT as error:
        raise _unavailable(f"cannot be reached: {error}; retry") from error
    except (exceptions.RedisError, exceptions.ClusterError) as error:
        raise _meaning(error, writes=writes) from error


def _meaning(error: exceptions.RedisError, *, writes: bool) -> Exception:
    for refusal in _REFUSALS:
        if refusal.covers(error):
            return _full(refusal.meaning) if refusal.full else _unavailable(refusal.meaning)
    if not isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        return error
    return _outcome_unknown(error) if writes else _unavailable(f"did not answer: {error}; retry")


def _full(meaning: str) -> ResourceExhaustedError:
    return ResourceExhaustedError(f"the session store {meaning}", reason="SESSION_STORE_FULL")


def _unavailable(meaning: str) -> UnavailableError:
    return UnavailableError(f"the session store {meaning}", reason="SESSION_STORE_UNAVAILABLE")


def _outcome_unknown(error: exceptions.RedisError) -> UnavailableError:
    return UnavailableError(
        "the session store did not answer, so it is not known whether this was written: repeat "
        f"it with the same idempotency_key to find out ({error})",
        reason="OUTCOME_UNKNOWN",
    )
