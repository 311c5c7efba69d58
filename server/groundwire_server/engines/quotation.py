"""What may be quoted from a passage: its sentences, each with what it needs to be understood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from groundwire_index.ingest.sentences import sentences

from groundwire_server.engines.engine import SourcePassage

# A sentence that begins like this says nothing without the one before it.
_LEANS_BACK = re.compile(
    r"(?:(?:after|before|since|until|during|in|for) (?:that|this|these|those)|then|it|its|they|"
    r"their|he|his|she|her|this|that|these|those|there|both|such|otherwise|however|instead)\b",
    re.IGNORECASE,
)
_ENDS_LIKE_A_SENTENCE = re.compile(r"[.!?…:;。！？][\"'”’»)\]]*\Z")  # noqa: RUF001
_LIST_ITEM = re.compile(r"[-*•‣◦▪–]\s|\(?\d{1,3}[.)]\s")  # noqa: RUF001
_CELL = " | "
# Sentences that lean on each other are quoted together, at most so many.
_LONGEST_CHAIN = 3


@dataclass(frozen=True, slots=True)
class Quotation:
    """One or more neighbouring sentences of a passage; the last is the one that matters."""

    passage: int
    """Number of the passage."""
    rank: int
    """Place of the passage in the order of retrieval, from 0."""
    first: int
    """Place of the first sentence in the passage."""
    sentences: tuple[str, ...]
    """As in the source, with white space collapsed."""
    heading: str
    """The heading above it in the passage, or the passage's title."""

    @property
    def text(self) -> str:
        """The sentences, joined."""
        return " ".join(self.sentences)

    @property
    def places(self) -> range:
        """Places of its sentences in the passage."""
        return range(self.first, self.first + len(self.sentences))


def quotations(passages: Sequence[SourcePassage]) -> list[Quotation]:
    """Everything in the passages that could be quoted; what is said twice, only once."""
    found: dict[str, Quotation] = {}
    for rank, passage in enumerate(passages):
        for quotation in _quotations_of(passage, rank):
            found.setdefault(quotation.sentences[-1], quotation)
    return list(found.values())


def _quotations_of(passage: SourcePassage, rank: int) -> Iterator[Quotation]:
    heading = passage.title
    chain: list[str] = []
    table_head = ""
    for place, span in enumerate(sentences(passage.text)):
        sentence = " ".join(passage.text[span.start : span.end].split())
        if _CELL in sentence:
            # The first row names the columns: it helps to find the others, and is no answer.
            if table_head:
                yield Quotation(passage.number, rank, place, (sentence,), heading)
            else:
                table_head, heading = sentence, f"{heading}: {sentence}"
            chain = []
            continue
        table_head = ""
        if _is_heading(sentence):
            heading, chain = sentence, []
            continue
        chain = [*chain[1 - _LONGEST_CHAIN :], sentence] if _LEANS_BACK.match(sentence) else []
        chain = chain or [sentence]
        first = place + 1 - len(chain)
        yield Quotation(passage.number, rank, first, tuple(chain), heading)


def _is_heading(sentence: str) -> bool:
    return not _ENDS_LIKE_A_SENTENCE.search(sentence) and not _LIST_ITEM.match(sentence)
