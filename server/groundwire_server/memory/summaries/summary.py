"""What a summary is, and which turns it stands for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said in turns ``first`` to ``last`` of a session, in short.

    It is made of these turns, and of nothing else; they stay as they are. Without a ``text`` it
    says that turns up to ``last`` are not to be summarised: what they were summarised to has been
    forgotten.
    """

    text: str
    first: int
    last: int
    tokens: int
    """Of all turns of the session up to ``last``, as they were counted when they were stored."""
    model: str
    time: datetime

    @property
    def forgotten(self) -> int:
        """The last turn that is not to be summarised; 0 if all may be."""
        return self.first - 1 if self.text else self.last

    def at(self, turn: int, tokens: int) -> Summary | None:
        """What a fork has of it that shares turns up to ``turn``, of so many tokens, if any."""
        if self.last <= turn:
            return self
        # The text may be made of what the fork does not have; what was forgotten stays forgotten.
        last = min(turn, self.forgotten)
        return replace(self, text="", first=last, last=last, tokens=tokens) if last else None


NO_SUMMARY = ""
"""As it is stored."""


def stored_text(summary: Summary | None) -> str:
    """As it is stored."""
    if summary is None:
        return NO_SUMMARY
    fields = {**asdict(summary), "time": summary.time.isoformat()}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def summary_of(stored: str) -> Summary | None:
    """Read what was stored."""
    if not stored:
        return None
    fields = json.loads(stored)
    return Summary(**{**fields, "time": datetime.fromisoformat(fields["time"])})
