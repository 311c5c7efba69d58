"""What makes two requests with one idempotency key the same request."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message


def digest_of(request: Message) -> bytes:
    """SHA-256 of the request's type and of all its fields but the key."""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("idempotency_key")
    digest = hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\0")
    digest.update(bare.SerializeToString(deterministic=True))
    return digest.digest()
