"""Words of English that make no difference to what is asked, or the same one as others."""

from __future__ import annotations

import re

from groundwire_server.words import word_set

HARMLESS = word_set("a an the please")

# Whether something is so, or does so, is said by these; they are no words of their own.
BEING = word_set("is are be")
DOING = word_set("do does")

QUESTION_WORDS = word_set("who when why how where what")

# What is asked for may come before or after that of which it is asked. Of some it makes no
# difference whether a thing is so or does so: "what is its weight", "what does it weigh".
MEASURES = word_set("cost price height width depth weight age length distance")
ASPECTS = MEASURES | word_set("open close start end")

# Words that end like a plural, and are none of the word before the s.
NO_PLURALS = word_set(
    "news glasses customs goods arms pants times species series means works minutes savings "
    "always perhaps besides sometimes towards upwards downwards inwards outwards forwards backwards"
)

_SAME = (
    "what which",
    "who whom",
    "start begin commence",
    "width wide",
    "depth deep",
    "weight weigh",
    "buy purchase",
    "child children kid",
    "bike bicycle",
    "car automobile",
    "phone telephone",
    "photo photograph",
    "television tv",
    "large big",
    "allowed permitted",
    "forbidden prohibited",
    "mandatory compulsory obligatory",
    "toilet restroom",
    "refund reimbursement",
    "help assist",
)
SAME_WORDS = {word: group.split()[0] for group in _SAME for word in group.split()}

# Words that are nobody's name, with an "s" or without.
KNOWN = (
    ASPECTS
    | frozenset(SAME_WORDS.values())
    | word_set("monday tuesday wednesday thursday friday saturday sunday")
)

COURTESIES = re.compile(
    r"^(?:(?:hi|hello|hey|thanks)\s*[,!.]|please\b|(?:"
    r"(?:(?:can|could|would|will)\s+you\s+)?(?:please\s+)?tell\s+(?:me|us)"
    r"|i(?:'d|\s+would)\s+like\s+to\s+know|i\s+want\s+to\s+know|do\s+you\s+know|i\s+wonder"
    r")\b[\s,:]*(?=(?:who|when|why|how|where|what|which)\b))[\s,]*|[\s,]+please(?=[?.!\s]*$)",
    re.IGNORECASE,
)


# What has a letter for a name, which may be written as an article is.
_LETTERED = (
    "vitamin|grade|class|type|group|level|plan|option|section|part|hepatitis|category|tier|zone"
    "|terminal|gate|building|block|room|hall|wing|team|appendix|table|figure|size|model|line"
    "|platform|route|version|exit|stage|phase|form|key|note|point"
)


def _phrase(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b{pattern}", re.IGNORECASE)


PHRASES = (
    (_phrase(r"can't\b"), "can not"),
    (_phrase(r"cannot\b"), "can not"),
    (_phrase(r"won't\b"), "will not"),
    (re.compile(r"n't\b", re.IGNORECASE), " not"),
    (_phrase(r"(what|where|who|when|how|it|that|there)'s\b"), r"\1 is"),
    (_phrase(r"(?:may|could)\s+(?=(?:i|we)\b)"), "can "),
    (_phrase(r"(?:at\s+)?(?:what|which)\s+time\b"), "when"),
    (_phrase(r"what\s+(is|are)\s+the\s+location\s+of\b"), r"where \1"),
    (_phrase(r"(where\s+(?:is|are)\b.*)\s(?:located|situated)(?=[?.!\s]*$)"), r"\1"),
    (_phrase(r"how\s+much\s+(?=(?:is|are)\b)(?!\S+\s+there\b)"), "what price "),
    (_phrase(r"how\s+much\s+(?=(?:do|does)\b.*\b(?:costs?|weighs?)\b)"), "what "),
    (_phrase(r"(price)\s+for\s+(?=(?:a|an|the)\b)"), r"\1 of "),
    (_phrase(r"how\s+(?:tall|high)\b"), "what height"),
    (_phrase(r"how\s+wide\b"), "what width"),
    (_phrase(r"how\s+deep\b"), "what depth"),
    (_phrase(r"how\s+old\b"), "what age"),
    (_phrase(r"how\s+long\s+(?=(?:is|are)\b)"), "what length "),
    (_phrase(r"how\s+far\s+is\s+it\s+(?=from\b)"), "what is the distance "),
    (_phrase(r"on\s+(?=(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b)"), ""),
    # A letter is a name: "vitamin A".
    (_phrase(r"a(?=\s*(?:[?.!,;]|$))"), "letter-a"),
    (_phrase(rf"({_LETTERED})\s+a\b"), r"\1 letter-a"),
)
