"""How the value of a setting is shown: without the secrets in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PASSWORD = re.compile(r"(?<=:)[^/@]*(?=@)|(?<=[?&]password=)[^&]*")
_SECRET_KEYS = re.compile("token$|key$|password|secret", re.IGNORECASE)


def shown(name: str, value: Any) -> str:
    """The value as text; passwords and tokens become ``***``."""
    if value is None:
        return ""
    if name in ("redis_url", "milvus_uri", "openai_url"):
        return _PASSWORD.sub("***", str(value))
    if isinstance(value, str) and value and _SECRET_KEYS.search(name):
        return "***"
    if isinstance(value, dict):
        return json.dumps(
            {key: "***" if _SECRET_KEYS.search(key) else item for key, item in value.items()}
        )
    return str(value) if isinstance(value, str | Path) else json.dumps(value)
