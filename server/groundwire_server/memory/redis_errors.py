"""What Redis and its client say when they fail -> errors that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_index.storage.failures import disk_full
from redis import exceptions

log = logging.getLogger(__name__)


class NotConnectedError(exceptions.ConnectionError):
    """No connection could be had: nothing was sent."""


CLIENT_ERRORS = (
    exceptions.RedisError,
    exceptions.ClusterError,
    exceptions.RedisClusterException,
)
"""All that the client raises; it has no base class for them."""

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


_NOTHING_LOST = "Nothing of this call was written, and what was acknowledged is kept"
_DISK = "MISCONF"
_REFUSALS = (
    _Refusal(
        exceptions.OutOfMemoryError,
        "OOM ",
        "has no memory left: raise its maxmemory, or delete sessions, then retry",
        full=True,
    ),
    _Refusal(
        exceptions.AuthenticationError,
        "WRONGPASS",
        "refuses the user of redis_url: correct its name and password there, then retry",
    ),
    _Refusal(
        exceptions.NoPermissionError,
        "NOPERM",
        "forbids the user of redis_url what sessions need: widen its rights, then retry",
    ),
    _Refusal(exceptions.ReadOnlyError, "READONLY", "is a read-only replica: retry shortly"),
    _Refusal(exceptions.BusyLoadingError, "LOADING", "is loading its data: retry shortly"),
    _Refusal(exceptions.MasterDownError, "MASTERDOWN", "has lost its primary: retry shortly"),
    _Refusal(
        exceptions.ClusterDownError, "CLUSTERDOWN", "is a cluster that is down: retry shortly"
    ),
    _Refusal(exceptions.TryAgainError, "TRYAGAIN", "is moving this session: retry shortly"),
    _Refusal(exceptions.ClusterError, "TTL exhausted", "is moving this session: retry shortly"),
    _Refusal(None, "NOREPLICAS", "has too few replicas to accept writes: retry shortly"),
    _Refusal(None, "BUSY ", "is busy with a script: retry shortly"),
)


class StoreErrors:
    """Says what a failure of the store means to callers; its technical cause goes to the log."""

    def __init__(self, remedy: str) -> None:
        """Take what to do when the store cannot be reached, as the end of a sentence."""
        self._remedy = remedy
        self._noted = ""

    @contextmanager
    def told(self, *, writes: bool) -> Iterator[None]:
        """Raise UnavailableError or ResourceExhaustedError for what the client raises inside.

        With ``writes``, a connection that is lost before the answer leaves unknown whether the
        write took place; the error's reason is then OUTCOME_UNKNOWN. In every other case nothing
        was written.
        """
        try:
            yield
        except CLIENT_ERRORS as error:
            self._note(error)
            raise self._meaning(error, writes=writes) from error
        self._noted = ""

    def _note(self, error: Exception) -> None:
        """Once for many calls that fail for one cause in a row."""
        cause = f"{type(error).__name__}: {error}"
        if cause != self._noted:
            log.warning("the session store fails", extra={"cause": cause})
        self._noted = cause

    def _meaning(self, error: Exception, *, writes: bool) -> Exception:
        if _DISK in str(error):
            return disk_full("the sessions")
        for refusal in _REFUSALS:
            if refusal.covers(error):
                return _refused(refusal)
        if isinstance(error, _NOTHING_SENT):
            return _unavailable(f"cannot be reached. {_NOTHING_LOST}: {self._remedy}")
        if not isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
            return error
        if writes:
            return _outcome_unknown(self._remedy)
        return _unavailable(f"did not answer. {_NOTHING_LOST}: {self._remedy}")


def _refused(refusal: _Refusal) -> UnavailableError | ResourceExhaustedError:
    if not refusal.full:
        return _unavailable(refusal.meaning)
    return ResourceExhaustedError(
        f"the session store {refusal.meaning}", reason="SESSION_STORE_FULL"
    )


def _unavailable(meaning: str) -> UnavailableError:
    return UnavailableError(f"the session store {meaning}", reason="SESSION_STORE_UNAVAILABLE")


def _outcome_unknown(remedy: str) -> UnavailableError:
    return UnavailableError(
        "the session store did not answer. What was acknowledged is kept, but whether this call "
        f"was applied is not known: {remedy}, with the same idempotency_key or expected_head, so "
        "that nothing is written twice; without either, read the session first",
        reason="OUTCOME_UNKNOWN",
    )
