"""JSON that carries its own SHA-256, so that no flipped bit in it goes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def seal(fields: Mapping[str, object]) -> bytes:
    """The content of a manifest."""
    return json.dumps(
        {"manifest": fields, "sha256": digest(fields)}, indent=1, ensure_ascii=False
    ).encode()


def unseal(content: bytes) -> Mapping[str, Any]:
    """The fields of a manifest. Raises ValueError, KeyError or TypeError unless it is sound."""
    document = json.loads(content)
    if digest(document["manifest"]) != document["sha256"]:
        raise ValueError("it fails its checksum")
    fields: Mapping[str, Any] = document["manifest"]
    return fields


def digest(fields: object) -> str:
    """SHA-256 of a JSON value, in hexadecimal; equal values have equal digests."""
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
