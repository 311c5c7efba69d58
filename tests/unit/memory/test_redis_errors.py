"""What Redis says, and what callers are told."""

from __future__ import annotations

import pytest
from groundwire_index.errors import GroundwireError, ResourceExhaustedError, UnavailableError
from groundwire_server.memory.redis_errors import NotConnectedError, StoreErrors
from groundwire_server.memory.redis_keeper import SomeoneElse
from redis import exceptions

ERRORS = StoreErrors("call the operator")
UNAVAILABLE, FULL, DISK_FULL, UNKNOWN = (
    "SESSION_STORE_UNAVAILABLE",
    "SESSION_STORE_FULL",
    "DISK_FULL",
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
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), DISK_FULL),
        (exceptions.ResponseError(f"{WRAPPED}MISCONF Errors writing"), DISK_FULL),
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
    with pytest.raises(GroundwireError) as raised, ERRORS.told(writes=True):
        raise error
    assert raised.value.reason == reason
    kind = ResourceExhaustedError if reason in (FULL, DISK_FULL) else UnavailableError
    assert isinstance(raised.value, kind)
    assert raised.value.message.startswith("the ")
    assert raised.value.__cause__ is error


def test_a_read_that_got_no_answer_wrote_nothing() -> None:
    with pytest.raises(UnavailableError) as raised, ERRORS.told(writes=False):
        raise exceptions.TimeoutError("Timeout reading")
    assert raised.value.reason == UNAVAILABLE


SECRET = "Error 2 connecting to unix:///data/redis/redis.sock. No such file or directory."


@pytest.mark.parametrize("kind", [NotConnectedError, exceptions.ConnectionError])
@pytest.mark.parametrize("writes", [True, False])
def test_the_technical_cause_is_for_the_log_alone(
    kind: type[Exception], writes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    errors = StoreErrors("call the operator")
    for _ in range(3):
        with pytest.raises(UnavailableError) as raised, errors.told(writes=writes):
            raise kind(SECRET)
        assert "redis.sock" not in raised.value.message
        assert "what was acknowledged is kept" in raised.value.message.lower()
        assert "call the operator" in raised.value.message
    # Once, for as long as it goes on.
    (line,) = caplog.records
    assert SECRET in line.cause  # type: ignore[attr-defined]
    with errors.told(writes=False):
        pass
    with pytest.raises(UnavailableError), errors.told(writes=False):
        raise kind(SECRET)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://ada:pass%40word@db.example:7000/3?client_name=x", "db.example:7000"),
        ("rediss://:secret@db.example", "db.example:6379"),
        ("redis://", "localhost:6379"),
        ("redis://[::1]:7000", "[::1]:7000"),
        ("unix://ada:secret@/run/private/redis.sock", "the socket in redis_url"),
    ],
)
def test_who_must_look_is_told_where_and_never_the_password(url: str, place: str) -> None:
    assert SomeoneElse(url).remedy == f"check that the Redis at {place} answers, then retry"


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"), ERRORS.told(writes=True):
        raise exceptions.ResponseError("WRONGTYPE Operation against a key")
