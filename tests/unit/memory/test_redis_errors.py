"""What Redis says, and what callers are told."""

from __future__ import annotations

import pytest
from groundwire_index.errors import GroundwireError, ResourceExhaustedError, UnavailableError
from groundwire_server.memory.redis_errors import NotConnectedError, store_errors
from redis import exceptions

UNAVAILABLE, FULL, UNKNOWN = (
    "SESSION_STORE_UNAVAILABLE",
    "SESSION_STORE_FULL",
    "OUTCOME_UNKNOWN",
)
# As a server before version 7 refuses a script, and as later ones do.
WRAPPED = "Error running script (call to f_1): @user_script:1: @user_script: 1: -"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotConnectedError("Connection refused"), UNAVAILABLE),
        (exceptions.MaxConnectionsError("Too many connections"), UNAVAILABLE),
        (exceptions.ConnectionError("Connection closed by server."), UNKNOWN),
        (exceptions.TimeoutError("Timeout reading"), UNKNOWN),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), UNAVAILABLE),
        (exceptions.AuthenticationError("WRONGPASS"), UNAVAILABLE),
        (exceptions.NoPermissionError("no permissions"), UNAVAILABLE),
        (exceptions.OutOfMemoryError("command not allowed"), FULL),
        (exceptions.ResponseError(f"{WRAPPED}OOM command not allowed"), FULL),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), FULL),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), UNAVAILABLE),
        (exceptions.ResponseError(f"{WRAPPED}READONLY You can't write"), UNAVAILABLE),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), UNAVAILABLE),
        (exceptions.ResponseError("BUSY Redis is busy running a script."), UNAVAILABLE),
        (exceptions.MasterDownError("Link with MASTER is down"), UNAVAILABLE),
        (exceptions.ClusterDownError("The cluster is down"), UNAVAILABLE),
        (exceptions.TryAgainError("Multiple keys request during rehashing"), UNAVAILABLE),
        (exceptions.ClusterError("TTL exhausted."), UNAVAILABLE),
        (exceptions.SlotNotCoveredError("Slot not covered"), UNAVAILABLE),
    ],
)
def test_a_failed_write_says_whether_anything_was_written(error: Exception, reason: str) -> None:
    with pytest.raises(GroundwireError) as raised, store_errors(writes=True):
        raise error
    assert raised.value.reason == reason
    kind = ResourceExhaustedError if reason == FULL else UnavailableError
    assert isinstance(raised.value, kind)
    assert raised.value.message.startswith("the session store")
    assert raised.value.__cause__ is error


def test_a_read_that_got_no_answer_wrote_nothing() -> None:
    with pytest.raises(UnavailableError) as raised, store_errors(writes=False):
        raise exceptions.TimeoutError("Timeout reading")
    assert raised.value.reason == UNAVAILABLE


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"), store_errors(writes=True):
        raise exceptions.ResponseError("WRONGTYPE Operation against a key")
