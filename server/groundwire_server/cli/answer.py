"""Showing an answer as it comes, and what it rests on."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from groundwire import (
    Citation,
    Finished,
    Generation,
    Grounding,
    Passage,
    ReasoningDelta,
    Sampling,
    TextDelta,
)
from groundwire.requests.generate import GenerateOptions
from rich.console import Console
from rich.text import Text

from groundwire_server.cli.flow import Flow
from groundwire_server.cli.output import print_indented

NO_SOURCES = "The documents hold no answer to this."
QUOTE = 300
_FROM_CACHE = {
    "exact": "Answered as it was before.",
    "semantic": "Answered as the same question in other words was before.",
}


def options(arguments: Namespace, session_id: str = "") -> GenerateOptions:
    """What `ask` and `chat` tell the server besides the question."""
    chosen: GenerateOptions = {
        "model": arguments.model,
        "sampling": Sampling(max_tokens=arguments.max_tokens),
        "session_id": session_id,
    }
    if not arguments.no_sources:
        chosen["grounding"] = Grounding(arguments.collection, top_k=arguments.top_k)
    return chosen


def stream(answer: Generation, screen: Console) -> None:
    """Write the answer word by word."""
    flow = Flow(screen)
    try:
        for event in answer:
            match event:
                case TextDelta(text=text, choice=0):
                    flow.write(text)
                case ReasoningDelta(text=text, choice=0):
                    flow.write(text, style="faint")
        if not answer.answer:
            flow.write(NO_SOURCES)
    finally:
        flow.end()


def show_sources(answer: Generation, screen: Console) -> None:
    """The passages that are cited, each with the words that the answer rests on."""
    for number, citations in _by_source(answer.citations).items():
        passage = answer.passage(citations[0])
        screen.print(
            Text.assemble(
                (f"[{number}] ", "number"), (passage.document_id, "title"), place(passage)
            )
        )
        for quoted in dict.fromkeys(quote(passage, citation) for citation in citations):
            print_indented(screen, f"“{quoted}”", style="quote")


def show_ending(finished: Finished, screen: Console) -> None:
    """How sure it is, and what went wrong on the way."""
    if finished.confidence is not None:
        screen.print(f"Confidence {finished.confidence:.0%}", style="faint")
    if words := _FROM_CACHE.get(finished.cache):
        screen.print(words, style="faint")
    if finished.finish_reason == "length":
        screen.print("It was cut off at its length limit (--max-tokens).", style="note")
    if finished.degraded:
        screen.print(f"Degraded: {finished.degraded_reason}", style="note")
    if finished.stored in ("conflict", "failed"):
        screen.print("This exchange could not be stored in the session.", style="bad")


def as_json(question: str, answer: Generation) -> dict[str, Any]:
    """The whole answer for a program."""
    return {
        "question": question,
        "answer": answer.answer,
        "citations": [
            {
                "source": citation.source,
                "answer_start": citation.answer_start,
                "answer_end": citation.answer_end,
                "quote": answer.passage(citation).quote(citation),
            }
            for citation in answer.citations
        ],
        "passages": answer.passages,
        "started": answer.started,
        "finished": answer.finished,
    }


def place(passage: Passage) -> str:
    """Where in the document: the page or, in a format without pages, the heading."""
    if passage.page:
        return f", page {passage.page}"
    return f", “{passage.headings[-1]}”" if passage.headings else ""


def quote(passage: Passage, citation: Citation) -> str:
    """The words that a citation rests on, on one line."""
    words = " ".join(passage.quote(citation).split())
    return words if len(words) <= QUOTE else words[:QUOTE].rsplit(" ", 1)[0] + " …"


def _by_source(citations: Iterable[Citation]) -> dict[int, list[Citation]]:
    by_source: dict[int, list[Citation]] = {}
    for citation in sorted(citations, key=lambda one: (one.source, one.source_start)):
        by_source.setdefault(citation.source, []).append(citation)
    return by_source
