"""Every query in every mode: what is found, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from groundwire import Client
from groundwire.chat import SearchMode

from groundwire_server.cli.evaluation.dataset import Dataset
from groundwire_server.cli.evaluation.metrics import ndcg, percentile, recall, reciprocal_rank

MODES: tuple[SearchMode, ...] = ("dense", "lexical", "hybrid")
TOP, DEEP = 10, 100


@dataclass(frozen=True, slots=True)
class Quality:
    """How one mode did: means over the queries, and the time of a search as a client sees it."""

    mode: SearchMode
    ndcg_at_10: float
    recall_at_100: float
    mrr_at_10: float
    p50_s: float
    p95_s: float


def evaluate(
    client: Client,
    collection: str,
    dataset: Dataset,
    mode: SearchMode,
    on_query: Callable[[], None],
) -> Quality:
    """Ask every query in one mode, one after the other, each for the first 100."""
    first = next(iter(dataset.queries.values()))
    _found(client, collection, first, mode)  # What is done once is not the search's time.
    rankings: dict[str, list[str]] = {}
    times: list[float] = []
    for key, text in dataset.queries.items():
        began = time.perf_counter()
        rankings[key] = _found(client, collection, text, mode)
        times.append(time.perf_counter() - began)
        on_query()
    judged = [(rankings[key], dataset.grades[key]) for key in dataset.queries]
    return Quality(
        mode=mode,
        ndcg_at_10=fmean(ndcg(*one, TOP) for one in judged),
        recall_at_100=fmean(recall(*one, DEEP) for one in judged),
        mrr_at_10=fmean(reciprocal_rank(*one, TOP) for one in judged),
        p50_s=percentile(times, 0.5),
        p95_s=percentile(times, 0.95),
    )


def _found(client: Client, collection: str, text: str, mode: SearchMode) -> list[str]:
    result = client.retrieve.search(collection, text, mode=mode, top_k=DEEP, include=())
    return [hit.id for hit in result.hits]
