"""Names of Redis keys. All keys of one session are in one slot of a cluster."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys of one session of one tenant."""

    tenant: str
    session_id: str

    @property
    def session(self) -> str:
        """A hash: what describes the session."""
        return f"{self._prefix}:session"

    @property
    def turns(self) -> str:
        """A stream: the turns, each under its number."""
        return f"{self._prefix}:turns"

    def answer(self, operation: str, idempotency_key: str) -> str:
        """A hash: what the first call with an idempotency key was answered."""
        return f"{self._prefix}:answer:{operation}:{digest_of(idempotency_key)}"

    @property
    def _prefix(self) -> str:
        return f"gw:{{{_encoded(self.tenant)}:{_encoded(self.session_id)}}}"


def claim_key(tenant: str, subject: str, idempotency_key: str) -> str:
    """Key of the hash that ties an idempotency key to the one session that it creates."""
    return f"gw:{{{_encoded(tenant)}:{digest_of(subject, idempotency_key)}}}:claim"


def digest_of(*parts: object) -> str:
    """SHA-256, in hex, of JSON values; equal values have equal digests."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _encoded(text: str) -> str:
    # Neither the colon nor the braces of a key can come from a name.
    return quote(text, safe="")
