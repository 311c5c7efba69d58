"""Reading the next page while this one is written."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(pages: Iterator[T]) -> Generator[T]:
    """The same pages in the same order; the next one is read in a thread meanwhile.

    An error in reading is raised where the page would have come.
    """
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming = reader.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = reader.submit(next, pages, None)
            yield page
