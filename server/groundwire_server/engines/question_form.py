"""What form the answer to an English question takes: a person, a time, a quantity, a name."""

from __future__ import annotations

import re

_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|"
    r"fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
    r"ninety|hundred|thousand|million|billion|once|twice|half|daily|hourly|weekly|monthly|yearly|"
    r"every|free|nothing|none|never|always)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\d|\b(?:january|february|march|april|may|june|july|august|september|october|november|"
    r"december|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|spring|summer|autumn|winter|morning|"
    r"afternoon|evening|night|noon|midnight|sunrise|sunset|dawn|dusk|day|week|month|year|when|"
    r"before|after|until)\b",
    re.IGNORECASE,
)
# A name: capital letters past the first word.
_NAME = re.compile(r"(?<=\S\s)[A-Z][\w'’-]*|\A[A-Z][\w'’-]*\s+[A-Z]")  # noqa: RUF001
_PLACE = re.compile(
    r"\b(?:in|on|at|near|next|behind|beside|above|below|under|inside|outside|from|to|beyond|"
    r"between|into|opposite)\b",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:because|since|so that|due|owing|in order|therefore|reasons?|causes?|to)\b", re.IGNORECASE
)

# The first whose pattern is found in the question decides.
_FORMS = (
    (re.compile(r"\bwho(?:m|se)?\b", re.IGNORECASE), _NAME),
    (re.compile(r"\b(?:names?|called)\b", re.IGNORECASE), _NAME),
    (re.compile(r"\bhow (?:many|much|long|often|far|fast|quickly|soon|high|tall|deep|large|big|"
                r"small|heavy|hot|cold|old|wide|close)\b", re.IGNORECASE), _NUMBER),
    (re.compile(r"\bwhat (?:\w+ )?(?:speed|price|cost|fee|size|number|temperature|distance|"
                r"height|depth|length|width|weight|mass|age|rate|share|percentage)\b",
                re.IGNORECASE), _NUMBER),
    (re.compile(r"\b(?:when|(?:what|which) (?:time|date|day|month|year))\b", re.IGNORECASE), _TIME),
    (re.compile(r"\bwhere\b", re.IGNORECASE), _PLACE),
    (re.compile(r"\bwhy\b", re.IGNORECASE), _REASON),
)  # fmt: skip


def fits_form(question: str, sentence: str) -> bool | None:
    """Whether a sentence holds what the question asks for; None if it asks for no such thing."""
    for asks, answers in _FORMS:
        if asks.search(question):
            return answers.search(sentence) is not None
    return None
