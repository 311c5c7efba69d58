"""Checks the links of a graph that comes from a file: FAISS follows them without looking."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann.file import array, require


def check_graph(graph: Any, size: int) -> None:
    """Raise ValueError unless a walk over the graph stays within ``size`` vectors."""
    levels, offsets = array(graph.levels), array(graph.offsets).astype(np.int64)
    links, rooms = array(graph.neighbors), array(graph.cum_nneighbor_per_level)
    require(len(levels) == size and len(offsets) == size + 1, "vectors are missing in the graph")
    require(0 <= graph.entry_point < size, "the graph has no entry")
    require(rooms[0] == 0 and (np.diff(rooms) >= 0).all(), "the levels have no room")
    require(((levels >= 1) & (levels < len(rooms))).all(), "a vector is on no level")
    require(graph.max_level + 1 == levels.max(), "another number of levels")
    require(levels[graph.entry_point] == levels.max(), "the entry is not at the top")
    require(offsets[0] == 0 and offsets[-1] == len(links), "links are missing")
    require((np.diff(offsets) == rooms[levels]).all(), "links are missing")
    require(links.min() >= -1 and links.max() < size, "a link leads nowhere")
    for level in range(1, int(levels.max())):
        _check_level(level, levels, offsets, links, rooms)


def _check_level(
    level: int,
    levels: NDArray[np.int32],
    offsets: NDArray[np.int64],
    links: NDArray[np.int32],
    rooms: NDArray[np.int32],
) -> None:
    members = np.flatnonzero(levels > level)
    places = offsets[members][:, None] + np.arange(rooms[level], rooms[level + 1])
    linked = links[places]
    require((levels[linked[linked >= 0]] > level).all(), "a link leads to a lower level")


def check_flat_graph(graph: Any, size: int) -> None:
    """Raise ValueError unless ``size`` vectors have as many links each, all of them on one level.

    Stricter than a walk on the CPU needs: a GPU would take "no link" for a very large number.
    """
    levels, offsets = array(graph.levels), array(graph.offsets).astype(np.int64)
    links, rooms = array(graph.neighbors), array(graph.cum_nneighbor_per_level)
    require(size > 0, "no vectors")
    require(len(rooms) >= 2 and rooms[0] == 0 and rooms[1] > 0, "no links")
    require(len(levels) == size and (levels == 1).all(), "vectors are missing in the graph")
    require(np.array_equal(offsets, np.arange(size + 1) * int(rooms[1])), "links are missing")
    require(len(links) == size * int(rooms[1]), "links are missing")
    require(links.min() >= 0 and links.max() < size, "a link leads nowhere")
