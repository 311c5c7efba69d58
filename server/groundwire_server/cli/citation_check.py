"""Looking a citation up, from the answer back to what is stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from groundwire import Citation, Client, Generation, Passage

WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Checked:
    """A citation, and what became of looking it up."""

    citation: Citation
    passage: Passage
    quote: str
    is_stored: bool
    """The collection holds the passage's chunks, and its text is theirs."""
    is_said: bool
    """Every word of the claim is in the quoted part of the passage."""

    @property
    def holds(self) -> bool:
        """Whether the citation is what it claims to be."""
        return self.is_stored and self.is_said

    @property
    def verdict(self) -> str:
        """What was found, in words."""
        if not self.is_stored:
            return "The collection does not hold this passage."
        if not self.is_said:
            return "The passage is stored, but says it in other words."
        return "Looked up: the passage is stored, and says so word for word."


def check(client: Client, collection: str, answer: Generation, citation: Citation) -> Checked:
    """Look up one citation of an answer. LookupError if its passage was never sent."""
    passage = answer.passage(citation)
    records = client.retrieve.get(collection, passage.chunk_ids or [passage.chunk_id])
    claim = answer.answer[citation.answer_start : citation.answer_end]
    quoted = passage.quote(citation)
    return Checked(
        citation,
        passage,
        " ".join(quoted.split()),
        is_stored=all(records) and _is_made_of(passage.text, [one.text for one in records if one]),
        is_said=_words(claim) <= _words(quoted),
    )


def _is_made_of(text: str, parts: Iterable[str | None]) -> bool:
    """Whether the parts, in order, make up the text; where one goes over into the next they may
    have some of it in common."""
    end = 0
    for part in parts:
        start = text.find(part) if part else -1
        if start < 0 or text[end:start].strip():
            return False
        end = start + len(part or "")
    return end == len(text)


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))
