"""How far to trust a grounded answer, as one number. docs/grounding.md explains the formula."""

from __future__ import annotations

import re
from collections.abc import Sequence

from groundwire_index.ingest.sentences import sentences

from groundwire_server.grounding.citations import MARK, Cited
from groundwire_server.grounding.events import Passage
from groundwire_server.words import tokens

# What follows is fitted to the sample answers; `python -m tests.bench grounding` shows how well.
# Words below which an answer gives the check too little to hold on to.
FULL_LENGTH_WORDS = 12
# What the check alone is worth, when retrieval found nothing that looks like the question,
CHECKED_ONLY = 0.7
# and what is added for a source that looks exactly like it. The check may be wrong at that.
FOR_RELEVANCE = 0.25


def confidence(
    text: str, citations: Sequence[Cited], passages: Sequence[Passage], dropped: int
) -> float:
    """Trust in an answer, 0 to 1; 0 if nothing in it is supported.

    ``support * precision * (0.7 + 0.25 * relevance) * length`` where support is the share of
    sentences with a citation that held, precision the share of citations that held, relevance
    that of the best cited passage, and length falls below 1 under twelve words.
    """
    if not citations:
        return 0.0
    support = supported_share(text, citations)
    precision = len(citations) / (len(citations) + dropped)
    cited = {citation.source for citation in citations}
    relevance = max(passage.relevance for passage in passages if passage.number in cited)
    length = min(1.0, len(tokens(MARK.sub("", text))) / FULL_LENGTH_WORDS)
    return support * precision * (CHECKED_ONLY + FOR_RELEVANCE * relevance) * length


def supported_share(text: str, citations: Sequence[Cited]) -> float:
    """The share of sentences that a citation overlaps; 0 for a text without sentences."""
    plain = MARK.sub(lambda mark: " " * len(mark[0]), text)
    spoken = [
        span for span in sentences(plain) if re.search(r"[^\W\d_]", plain[span.start : span.end])
    ]
    supported = [
        span
        for span in spoken
        if any(
            cited.answer.start < span.end and span.start < cited.answer.end for cited in citations
        )
    ]
    return len(supported) / len(spoken) if spoken else 0.0
