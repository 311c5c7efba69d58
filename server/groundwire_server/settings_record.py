"""What settings the server of a data folder last ran with, for whoever looks after the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import sync_folder

from groundwire_server.settings import Settings
from groundwire_server.settings_masking import shown

RECORD = "settings.json"


def effective(settings: Settings) -> Mapping[str, str]:
    """Every setting as text, without the secrets in it."""
    return {name: shown(name, getattr(settings, name)) for name in type(settings).model_fields}


def encode(values: Mapping[str, str]) -> bytes:
    """The content of ``settings.json``."""
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


def record(settings: Settings) -> None:
    """Leave word of the settings in their data folder, in the place of what was there."""
    path = settings.data_dir / RECORD
    partial = path.with_suffix(".new")
    with storage_errors(path):
        partial.write_bytes(encode(effective(settings)))
        partial.replace(path)
        sync_folder(path.parent)


def recorded(data_dir: Path) -> Mapping[str, str]:
    """What the last server of the folder ran with; nothing if it is not known."""
    path = data_dir / RECORD
    with storage_errors(path):
        if not path.exists():
            return {}
        values: Mapping[str, str] = json.loads(path.read_bytes())
    return values
