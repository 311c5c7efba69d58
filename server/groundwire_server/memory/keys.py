"""Names of Redis keys. All of one session are in one slot of a cluster, as all of one list are."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote


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

    @property
    def held(self) -> str:
        """A hash: which forks need how much of the turns, even when the session is gone."""
        return f"{self._prefix}:held"

    def aside(self, birth: str) -> tuple[str, str]:
        """`turns` and `held` of a former session of this id."""
        return f"{self.turns}:{birth}", f"{self.held}:{birth}"

    def answer(self, operation: str, idempotency_key: str) -> str:
        """A hash: what the first call with an idempotency key was answered."""
        return f"{self._prefix}:answer:{operation}:{digest_of(idempotency_key)}"

    @property
    def _prefix(self) -> str:
        return f"gw:{{{_encoded(self.tenant)}:{_encoded(self.session_id)}}}"


@dataclass(frozen=True, slots=True)
class SubjectKeys:
    """The keys of the list of one subject's sessions."""

    tenant: str
    subject: str

    @property
    def listed(self) -> str:
        """A sorted set: the sessions by last use."""
        return f"{self._prefix}:listed"

    @property
    def removals(self) -> str:
        """A hash: how many sessions retention has removed, and when last."""
        return f"{self._prefix}:removals"

    def copy(self, name: str) -> str:
        """A sorted set: the list as it was when someone began to read it."""
        return f"{self._prefix}:copy:{name}"

    @property
    def _prefix(self) -> str:
        return f"gw:{{{_encoded(self.tenant)}:{_encoded(self.subject)}}}"


ALL_KEYS = "gw:{*"
"""Pattern of every key."""

_KEY = re.compile(r"gw:\{([^:}]*):([^:}]*)\}:(listed|held)(?::([0-9a-f]+))?")


def subject_of(key: str) -> SubjectKeys | None:
    """Whose list is under this key, if it is one."""
    found = _KEY.fullmatch(key)
    if found is None or found[3] != "listed":
        return None
    return SubjectKeys(unquote(found[1]), unquote(found[2]))


def held_of(key: str) -> tuple[SessionKeys, str] | None:
    """Of which session turns are held under this key, and the birth if they were set aside."""
    found = _KEY.fullmatch(key)
    if found is None or found[3] != "held":
        return None
    return SessionKeys(unquote(found[1]), unquote(found[2])), found[4] or ""


def claim_key(tenant: str, subject: str, idempotency_key: str) -> str:
    """Key of the hash that ties an idempotency key to the one session that it creates."""
    return f"gw:{{{_encoded(tenant)}:{digest_of(subject, idempotency_key)}}}:claim"


def digest_of(*parts: object) -> str:
    """SHA-256, in hex, of JSON values; equal values have equal digests."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=4096)
def _encoded(text: str) -> str:
    # Neither the colon nor the braces of a key can come from a name.
    return quote(text, safe="")
