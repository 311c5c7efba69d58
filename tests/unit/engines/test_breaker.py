from __future__ import annotations

import pytest
from groundwire_index.errors import InvalidArgumentError, UnavailableError
from groundwire_server.engines.breaker import Breaker, BreakerState


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("mixtral", failures=3, open_s=5, now=clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(UnavailableError, match="the core died"), breaker.attempt():
            raise UnavailableError("the core died")


def succeed(breaker: Breaker) -> None:
    with breaker.attempt() as works:
        works()


def refusal(breaker: Breaker) -> UnavailableError:
    with pytest.raises(UnavailableError, match="left alone") as caught, breaker.attempt():
        pytest.fail("the model got a request")
    return caught.value


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    assert breaker.state is BreakerState.OPEN


def test_a_success_between_them_starts_the_count_again(breaker: Breaker) -> None:
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED


def test_open_it_refuses_with_what_happened_last_and_when_to_come_back(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.seconds = 2
    error = refusal(breaker)
    assert "mixtral" in error.message
    assert "the core died" in error.message
    assert error.retry_after_s == 3
    with pytest.raises(UnavailableError, match="the core died"):
        breaker.check()


def test_after_a_while_one_request_may_try(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.seconds = 5
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.check()
    with breaker.attempt() as works:
        refusal(breaker)
        works()
        assert breaker.state is BreakerState.CLOSED
    succeed(breaker)


def test_a_trial_that_fails_opens_it_again_at_once(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.seconds = 5
    fail(breaker)
    assert breaker.state is BreakerState.OPEN
    clock.seconds = 10
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_trial_that_worked_and_goes_on_keeps_no_other_from_trying(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.seconds = 5
    with breaker.attempt() as works:
        works()
        fail(breaker, 3)
        assert breaker.state is BreakerState.OPEN
        clock.seconds = 10
        succeed(breaker)
        assert breaker.state is BreakerState.CLOSED


def test_a_trial_that_worked_and_then_fails_is_one_failure(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.seconds = 5

    def break_off() -> None:
        with breaker.attempt() as works:
            works()
            raise UnavailableError("the core died")

    with pytest.raises(UnavailableError):
        break_off()
    assert breaker.state is BreakerState.CLOSED


def test_a_trial_without_an_outcome_leaves_it_to_the_next(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.seconds = 5
    with breaker.attempt():
        pass
    assert breaker.state is BreakerState.HALF_OPEN
    succeed(breaker)
    assert breaker.state is BreakerState.CLOSED


def test_what_is_wrong_with_a_request_is_no_failure(breaker: Breaker) -> None:
    for _ in range(10):
        with pytest.raises(InvalidArgumentError), breaker.attempt():
            raise InvalidArgumentError("prompt", "is empty")
    assert breaker.state is BreakerState.CLOSED
