"""How the value of a setting is shown: without the secrets in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_PASSWORD = re.compile(r"(?<=:)[^/@]*(?=@)|(?<=[?&]password=)[^&]*|(?<=_password=)[^&]*")
_SECRET_KEYS = re.compile("token$|key$|password|secret", re.IGNORECASE)


def shown(name: str, value: Any) -> str:
    """The value as text; passwords and tokens become ``***``."""
    if value is None:
        return ""
    if name.endswith(("url", "uri")):
        return _PASSWORD.sub("***", str(value))
    if isinstance(value, str) and value and _SECRET_KEYS.search(name):
        return "***"
    return str(value) if isinstance(value, str | Path) else json.dumps(_masked(value))


def _masked(value: Any) -> Any:
    """The same with ``***`` for the secrets in it, and objects as the dictionaries they come of."""
    if isinstance(value, BaseModel):
        return _masked(value.model_dump(exclude_unset=True))
    if isinstance(value, dict):
        return {key: _shown_within(key, item) for key, item in value.items()}
    return value


def _shown_within(key: str, item: Any) -> Any:
    if isinstance(item, str) and key.endswith(("url", "uri")):
        return _PASSWORD.sub("***", item)
    return "***" if item and _SECRET_KEYS.search(key) else _masked(item)
