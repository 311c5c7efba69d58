"""k-means, one round at a time, so that it ends soon after it is cancelled."""

from __future__ import annotations

from collections.abc import Callable

from groundwire_index.ann.file import stop_if
from groundwire_index.ann.library import faiss
from groundwire_index.storage.segment_file import Matrix

SAMPLES_PER_CENTROID = 39
"""FAISS's own floor; more sharpen the centres hardly, and take longer."""
_ROUNDS = 8
_SEED = 1957


def centroids(points: Matrix, count: int, cancelled: Callable[[], bool]) -> Matrix:
    """``count`` centres of at least as many points."""
    library = faiss()
    width = points.shape[1]
    centres: Matrix = points[:: len(points) // count][:count].copy()
    for _ in range(_ROUNDS):
        stop_if(cancelled)
        clustering = library.Clustering(width, count)
        clustering.niter, clustering.seed = 1, _SEED
        clustering.min_points_per_centroid = 1
        clustering.max_points_per_centroid = len(points)
        library.copy_array_to_vector(centres.ravel(), clustering.centroids)
        clustering.train(points, library.IndexFlatL2(width))
        centres = library.vector_to_array(clustering.centroids).reshape(count, width)
    return centres
