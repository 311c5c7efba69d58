"""Answers a grounded question with the sentences of its sources, and no model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence

from groundwire_index.errors import FailedPreconditionError, UnsupportedError

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    ChoiceEnd,
    EngineEvent,
    EngineRequest,
    FinishReason,
    GenerationEnd,
    GroundedQuestion,
    Message,
    Role,
    Sampling,
    TextPiece,
    Usage,
)
from groundwire_server.engines.quotation import Quotation, quotations
from groundwire_server.engines.quotation_score import Scored, score
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.engines.token_counts import TokenCounts
from groundwire_server.waiting import Waiting

# Below this score a sentence is no answer. Measured on questions with and without an answer:
# those with one score above 0.58 and mostly above 0.7, those without mostly below 0.5.
ANSWERS = 0.57
# A further sentence must be nearly as good as the best, and say something else.
NEARLY_AS_GOOD = 0.06
SAYS_THE_SAME = 0.9
MOST_QUOTATIONS = 3

# The whole answer is there at once. So little between its words lets each go out by itself, as
# those of a language model do, to clients that show a stream.
_PACE_S = 0.001

NO_ANSWER = "The sources do not say."
# A word with the white space before it.
_PIECE = re.compile(r"\s*\S+")


class ExtractiveEngine:
    """Quotes the source sentences that answer best; never makes anything up.

    Only for requests with ``grounded``. The answer is verbatim but for white space; each
    sentence is followed by the number of its passage, " [2]". The same request always has the
    same answer, so temperature, seed and penalties have no effect.
    """

    name = "extractive"
    adapters = ()
    model = "extractive"
    context_length = 0
    # What it asks of the embedder waits there.
    waiting = Waiting()

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._counts = TokenCounts(embedder.count_tokens)

    async def start(self) -> None:
        """Nothing to load: the embedder is started by its owner."""

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the answer word by word.

        Ends with FinishReason.NO_SOURCES, after saying so, if no sentence answers. Raises
        FailedPreconditionError without ``grounded``, UnsupportedError for a constraint, tools,
        n > 1 and logprobs.
        """
        grounded = _grounded(request)
        yield Accepted()
        yield Begun()
        said = "\n".join(one.content for one in request.messages if one.role is Role.ASSISTANT)
        quoted = await self._answer(grounded, said)
        text = _marked(quoted) if quoted else NO_ANSWER
        pieces = _PIECE.findall(_before_stop(text, request.sampling.stop))
        counts = await run_blocking(self._embedder.count_tokens, pieces) if pieces else []
        reason = FinishReason.STOP if quoted else FinishReason.NO_SOURCES
        completed = 0
        for piece, count in zip(pieces, counts, strict=True):
            if completed + count > (request.sampling.max_tokens or float("inf")):
                reason = FinishReason.LENGTH
                break
            completed += count
            yield TextPiece(piece, count)
            await asyncio.sleep(_PACE_S)
        yield ChoiceEnd(reason)
        yield GenerationEnd(Usage(await self._read(grounded), 0, completed))

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        """Count by the embedder's tokenizer. Raises UnsupportedError for tools."""
        if template.tools:
            raise _no_tools()
        texts = [content] if isinstance(content, str) else [one.content for one in content]
        return sum(await self._counts.of(texts))

    async def check(self) -> None:
        """Raise UnavailableError if the embedder is not there."""
        _ = self._embedder.fingerprint

    async def close(self) -> None:
        """Nothing to stop."""

    async def _answer(self, grounded: GroundedQuestion, said: str) -> list[Quotation]:
        candidates = quotations(grounded.passages)
        if not candidates:
            return []
        ranked = await score(
            self._embedder, grounded.question, candidates, subject=grounded.subject, said=said
        )
        return _chosen(ranked)

    async def _read(self, grounded: GroundedQuestion) -> int:
        texts = [grounded.question, *(passage.text for passage in grounded.passages)]
        return sum(await run_blocking(self._embedder.count_tokens, texts))


def _grounded(request: EngineRequest) -> GroundedQuestion:
    if request.constraint is not None:
        raise UnsupportedError(
            'constraint: the model "extractive" only quotes; leave it out, or configure a '
            "language model with vllm_model",
            reason="CONSTRAINT_UNSUPPORTED",
        )
    if request.tools is not None:
        raise _no_tools()
    if request.grounded is None:
        raise FailedPreconditionError(
            'the model "extractive" only answers from documents: add `grounding` with a '
            "collection to the request, or configure a language model: vllm_model or openai_url",
            reason="NOT_GROUNDED",
        )
    _require_supported(request.sampling)
    return request.grounded


def _no_tools() -> UnsupportedError:
    return UnsupportedError(
        'tools: the model "extractive" only quotes; leave them out, or configure a language '
        "model: vllm_model or openai_url",
        reason="TOOLS_UNSUPPORTED",
    )


def _require_supported(sampling: Sampling) -> None:
    if sampling.n > 1:
        raise UnsupportedError('the model "extractive" has one answer: leave out sampling.n')
    if sampling.logprobs is not None:
        raise UnsupportedError(
            'the model "extractive" has no probabilities: leave out sampling.logprobs'
        )


def _chosen(ranked: Sequence[Scored]) -> list[Quotation]:
    """The best quotation and those that add to it, best passage first, in order of reading."""
    floor = max(ANSWERS, ranked[0].score - NEARLY_AS_GOOD)
    chosen: list[Scored] = []
    for candidate in ranked:
        if candidate.score < floor or len(chosen) == MOST_QUOTATIONS:
            break
        if not any(_repeats(candidate, other) for other in chosen):
            chosen.append(candidate)
    best = [one.quotation for one in chosen]
    lead = best[0].passage if best else 0
    return sorted(best, key=lambda one: (one.passage != lead, one.rank, one.first))


def _repeats(candidate: Scored, other: Scored) -> bool:
    """Whether a quotation shares a sentence with another, or says the same."""
    mine, theirs = candidate.quotation, other.quotation
    overlap = not set(mine.sentences).isdisjoint(theirs.sentences)
    return overlap or float(candidate.vector @ other.vector) > SAYS_THE_SAME


def _marked(quoted: Sequence[Quotation]) -> str:
    return " ".join(
        f"{sentence} [{quotation.passage}]"
        for quotation in quoted
        for sentence in quotation.sentences
    )


def _before_stop(text: str, stop: Sequence[str]) -> str:
    ends: Iterator[int] = (text.find(one) for one in stop)
    return text[: min((end for end in ends if end >= 0), default=len(text))]
