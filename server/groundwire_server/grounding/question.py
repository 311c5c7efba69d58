"""What to search for, and what to ask an engine that does not see the conversation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from groundwire_server.grounding.conversation import Conversation
from groundwire_server.words import STOP_WORDS, content_words, tokens, word_set

# Turns that a chain of follow-ups is traced back at most.
LONGEST_CHAIN = 3
# What is longer is searched for by its beginning and its end: a pasted text has its question at
# either, and no embedder reads more.
SEARCH_CHARACTERS = 4000
# Content words below which a question cannot stand alone.
SHORT_WORDS = 2

_REFERS_BACK = word_set(
    "he her hers him his it its she that their theirs them these they this those"
)
_CONTINUES = re.compile(
    r"(?:and|or|but|so|then|also|what about|how about|why not|what else|which one)\b", re.IGNORECASE
)
_DETERMINERS = word_set("a an her his its my our the their your")
_WORD = re.compile(r"[^\W_]+(?:[-'\u2019][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Question:
    """One question in the forms that are needed."""

    search: str
    """For retrieval: with the whole of the turns it refers to, because more context finds more."""
    asked: str
    """As the user said it."""
    subject: str
    """What those turns are about, for an engine that does not see them; empty without any."""


def question_of(conversation: Conversation, query: str = "") -> Question:
    """Make the question of a conversation understandable without it.

    An explicit ``query`` is searched for as it is. Otherwise the last user message is, and if
    it is a follow-up, the user turn before it goes in front, and so on for a chain of
    follow-ups, at most `LONGEST_CHAIN` of them.
    """
    asked = conversation.question.strip()
    chain = _leads_to(asked, conversation.earlier_questions)
    subject = subject_of(chain[0]) if chain else ""
    return Question(
        search=_ends_of(query or " ".join([*chain, asked])),
        asked=asked,
        subject=subject,
    )


def _leads_to(asked: str, earlier: Sequence[str]) -> list[str]:
    """The turns that a follow-up leans on, oldest first; none for a question of its own."""
    chain: list[str] = []
    for turn in reversed(earlier):
        if len(chain) == LONGEST_CHAIN or not is_follow_up(chain[0] if chain else asked):
            break
        chain.insert(0, turn.strip())
    return chain


def _ends_of(text: str) -> str:
    if len(text) <= SEARCH_CHARACTERS:
        return text
    half = SEARCH_CHARACTERS // 2
    return f"{text[:half]} {text[-half:]}"


def is_follow_up(text: str) -> bool:
    """Whether a question leans on the turn before it.

    It does if it begins by going on ("and", "what about"), if it refers back ("it", "those"),
    or if it has too few words of its own to be found by.
    """
    return (
        _CONTINUES.match(text.strip()) is not None
        or not _REFERS_BACK.isdisjoint(tokens(text))
        or len(content_words(text)) < SHORT_WORDS
    )


def subject_of(text: str) -> str:
    """What a question is about: its names, and the words that follow an article.

    All of its content words if it has neither.
    """
    words = _WORD.findall(text)
    phrases: list[list[str]] = []
    is_open = False
    for number, word in enumerate(words):
        folded = word.casefold()
        if folded in _DETERMINERS:
            phrases.append([])
            is_open = True
        elif is_open and (folded == "of" or folded not in STOP_WORDS):
            phrases[-1].append(word)
        elif number and (word[0].isupper() or word[0].isdigit()):
            phrases.append([word])
            is_open = True
        else:
            is_open = False
    subject = " ".join(word for phrase in phrases for word in phrase)
    return subject or " ".join(word for word in words if word.casefold() not in STOP_WORDS)
