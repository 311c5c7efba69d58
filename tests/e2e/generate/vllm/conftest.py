"""One vLLM for the tests here: the small model with adapters beside it.

Starting one keeps a core busy for many seconds. A test that breaks it, or needs another, starts its
own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from groundwire_server.engines.vllm import VllmEngine

from tests.adapters import adapters
from tests.models import VLLM_ARGS, small_llama


@pytest.fixture(scope="package")
async def engine() -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(
        str(small_llama()),
        name="small",
        args=VLLM_ARGS,
        adapters=adapters(),
        max_tokens_default=20,
    )
    await engine.start()
    yield engine
    await engine.close()
