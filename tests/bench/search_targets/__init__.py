"""What the search benchmark measures: this server first, then its peers, each in a file."""

from __future__ import annotations

from tests.bench.search_targets.chroma import Chroma
from tests.bench.search_targets.milvus_lite import MilvusLite
from tests.bench.search_targets.numpy_exact import NumpyExact
from tests.bench.search_targets.server import GroundwireServer
from tests.bench.search_targets.target import Target

TARGETS: tuple[type[Target], ...] = (GroundwireServer, Chroma, MilvusLite, NumpyExact)
