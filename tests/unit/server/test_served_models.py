"""How the models of the settings are put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from groundwire_server import served_models
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.settings import Settings

from tests.unit.grounding.scripted_engine import ScriptedEngine


async def test_a_model_is_another_when_its_engine_is_started_with_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loading(ScriptedEngine):
        def __init__(self, source: str, *, name: str, **_: Any) -> None:
            super().__init__([], model=name)

    monkeypatch.setattr(served_models, "VllmEngine", Loading)
    settings = Settings(
        data_dir=tmp_path / "data",
        models={"m": {"engine": "vllm", "source": str(tmp_path / "weights")}},
    )
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    (tmp_path / "weights").mkdir()
    revisions = set()
    for number in range(2):
        model = served_models.served_models(settings, embedder).get("m")
        (tmp_path / f"weights/{number}.safetensors").touch()
        await model.start()
        revisions.add(model.revision)
        await model.close()
    assert len(revisions) == 2
