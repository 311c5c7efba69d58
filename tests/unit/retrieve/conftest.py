from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import Served, serving


@pytest.fixture
def embedder() -> LettersEmbedder:
    return LettersEmbedder()


@pytest.fixture
async def served(tmp_path: Path, embedder: LettersEmbedder) -> AsyncIterator[Served]:
    async with serving(tmp_path, embedder) as served:
        yield served
