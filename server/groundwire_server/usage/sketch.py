"""Durations counted in buckets: a quantile with a bounded relative error, from a few numbers.

The buckets grow by a constant factor, as in DDSketch (Masson, Rim, Lee; VLDB 2019): bucket i holds
what is above ``GROWTH ** (i - 1)`` and up to ``GROWTH ** i`` units, and stands for the value whose
distance from both, relative to them, is the same: `ERROR`. Two sketches are merged by adding up the
counts of their buckets, so that many servers can count for one day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

ERROR = 0.05
"""By so much, relative to it, can a quantile be off."""
SHORTEST_S = 1e-4
"""Shorter durations count as this one."""
LONGEST_S = 86_400.0
"""Longer durations count as this one."""

GROWTH = (1 + ERROR) / (1 - ERROR)
_LOG_GROWTH = math.log(GROWTH)
_MIDDLE = 2 / (1 + GROWTH)


def bucket_of(seconds: float) -> int:
    """The number of the bucket that counts a duration: 0 to 206."""
    within = min(max(seconds, SHORTEST_S), LONGEST_S)
    return math.ceil(math.log(within / SHORTEST_S) / _LOG_GROWTH)


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Seconds that ``share`` of the durations do not exceed (nearest rank); None of none."""
    rank = math.ceil(share * sum(buckets.values()))
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return max(_MIDDLE * GROWTH**bucket * SHORTEST_S, SHORTEST_S)
    return None
