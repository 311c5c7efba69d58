"""How indexes are built, and what is made of the files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from groundwire_index.ann import FAMILIES, BuildCancelledError, Family, Tuning
from groundwire_index.errors import DataLossError, InvalidArgumentError, ResourceExhaustedError
from groundwire_index.records import Metric

from tests.conformance.ann.conftest import STORED
from tests.conformance.ann.corpus import Matrix, Pieces, clustered

ROWS, DIMENSION = 2_000, 32


@pytest.fixture(scope="module", params=sorted(STORED))
def family(request: pytest.FixtureRequest) -> Family:
    return STORED[request.param]


@pytest.fixture(scope="module")
def vectors() -> Matrix:
    return clustered(ROWS, DIMENSION, seed=11)[0]


@pytest.fixture(scope="module")
def sound(family: Family, vectors: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / family.kind
    family.build(Pieces(vectors), Metric.COSINE, {}, path, lambda: False)
    return path


def test_how_the_vectors_are_split_does_not_show(
    family: Family, vectors: Matrix, sound: Path, tmp_path: Path
) -> None:
    pieces = Pieces(vectors[:7], vectors[7:1500], vectors[1500:])
    family.build(pieces, Metric.COSINE, {}, tmp_path / "pieces", lambda: False)
    assert (tmp_path / "pieces").read_bytes() == sound.read_bytes()


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_build_ends_soon_after_it_is_cancelled(
    family: Family, rounds: int, tmp_path: Path
) -> None:
    pieces = Pieces(clustered(40_000, DIMENSION, seed=12)[0])
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(pieces.rows_read)
        return len(asked) > rounds

    with pytest.raises(BuildCancelledError):
        family.build(pieces, Metric.COSINE, {}, tmp_path / "index", cancelled)
    assert len(asked) == rounds + 1
    assert not (tmp_path / "index").exists()


def test_a_full_disk_is_told(family: Family, vectors: Matrix) -> None:
    with pytest.raises(ResourceExhaustedError, match="full"):
        family.build(Pieces(vectors), Metric.COSINE, {}, Path("/dev/full"), lambda: False)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_refused(
    family: Family, sound: Path, keep: float, tmp_path: Path
) -> None:
    content = sound.read_bytes()
    (tmp_path / "cut").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataLossError):
        family.open(tmp_path / "cut", Metric.COSINE, DIMENSION)


def test_a_file_of_something_else_is_refused(
    family: Family, vectors: Matrix, sound: Path, tmp_path: Path
) -> None:
    (tmp_path / "text").write_bytes(b"This is no index. " * 1000)
    with pytest.raises(DataLossError):
        family.open(tmp_path / "text", Metric.COSINE, DIMENSION)
    with pytest.raises(DataLossError):
        family.open(sound, Metric.COSINE, DIMENSION + 16)
    with pytest.raises(DataLossError):
        family.open(sound, Metric.DOT, DIMENSION)
    for other in FAMILIES.values():
        if other.kind != family.kind:
            with pytest.raises(DataLossError):
                other.open(sound, Metric.COSINE, DIMENSION)


# In a process of its own, which a search that leaves the file would end.
FLIPS = """
import sys
from pathlib import Path
import numpy as np
from groundwire_index.ann import FAMILIES, Tuning
from groundwire_index.errors import DataLossError
from groundwire_index.records import Metric

kind, sound, folder = sys.argv[1], Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
rng = np.random.default_rng(13)
queries = rng.standard_normal((5, 32), dtype=np.float32)
allowed = np.packbits(np.arange(2000) % 2 == 0, bitorder="little")
refused = 0
for number in [*range(0, 200), *rng.integers(0, len(sound), 150).tolist()]:
    content = bytearray(sound)
    content[number] ^= 1 << int(rng.integers(0, 8))
    path = folder / str(number)
    path.write_bytes(content)
    try:
        ann = FAMILIES[kind].open(path, Metric.COSINE, 32)
    except DataLossError:
        refused += 1
    else:
        assert ann.size == 2000
        for bits in (None, allowed):
            found = ann.search(queries, 10, bits, Tuning())
            assert found.max() < 2000 and found.min() >= -1
    path.unlink()
print(refused)
"""


def test_a_flipped_bit_leads_no_search_out_of_the_file(
    family: Family, sound: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", FLIPS, family.kind, str(sound), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


@pytest.mark.parametrize("link", [-1, 1_500])
def test_a_graph_for_gpus_whose_links_lead_nowhere_is_refused(
    vectors: Matrix, tmp_path: Path, link: int
) -> None:
    cagra, path = FAMILIES["cagra"], tmp_path / "graph"
    cagra.build(Pieces(vectors[:1_500]), Metric.COSINE, {}, path, lambda: False)
    # Opening a file sets the limit for the whole process.
    faiss.set_deserialization_vector_byte_limit(2**30)
    graph = faiss.read_index(str(path))
    links = faiss.rev_swig_ptr(graph.hnsw.neighbors.data(), graph.hnsw.neighbors.size())
    links[777] = link
    faiss.write_index(graph, str(path))
    with pytest.raises(DataLossError, match=r"leads nowhere|out of range"):
        cagra.open(path, Metric.COSINE, DIMENSION)


PRIVATE = """
import sys
from pathlib import Path
import numpy as np
from groundwire_index.ann import FAMILIES, Tuning
from groundwire_index.records import Metric

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Anonymous:")).split()[1])

family, dimension = FAMILIES[sys.argv[1]], 96
queries = np.ones((4, dimension), np.float32)
small = family.open(Path(sys.argv[3]), Metric.COSINE, dimension)
small.search(queries, 10, None, Tuning())
before = private()
large = family.open(Path(sys.argv[2]), Metric.COSINE, dimension)
large.search(queries, 10, None, Tuning())
print(private() - before)
"""


QUICK = {
    "hnsw": {"m": "4", "ef_construction": "8"},
    "ivf_pq": {"nlist": "64", "bits": "4"},
    "cagra": {"graph_degree": "8"},
}


def test_an_open_index_stays_in_its_file(family: Family, tmp_path: Path) -> None:
    rng = np.random.default_rng(14)
    vectors = rng.standard_normal((60_000, 96), dtype=np.float32)
    parameters = QUICK.get(family.kind, {})
    for name, part in (("large", vectors), ("small", vectors[:100])):
        family.build(Pieces(part), Metric.COSINE, parameters, tmp_path / name, lambda: False)
    files = [str(tmp_path / "large"), str(tmp_path / "small")]
    command = [sys.executable, "-c", PRIVATE, family.kind, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 0.5 * (tmp_path / "large").stat().st_size


WRONG: dict[str, dict[str, list[str]]] = {
    "hnsw": {"m": ["3", "129", "x", "", "-8", "1.5", "٤"], "ef_construction": ["0"]},
    "ivf_pq": {"nlist": ["0", "65537"], "bits": ["0", "9"]},
    "sq8": {},
    "cagra": {"graph_degree": ["4", "12", "264"]},
}


def test_an_unknown_parameter_is_named(family: Family) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        family.check({"colour": "blue"})
    assert caught.value.violations[0].field == 'index.parameters["colour"]'
    for known in WRONG[family.kind]:
        assert known in caught.value.violations[0].description


def test_a_parameter_out_of_range_is_told_what_is_allowed(family: Family) -> None:
    for name, values in WRONG[family.kind].items():
        for value in values:
            with pytest.raises(InvalidArgumentError, match="a whole number from") as caught:
                family.check({name: value})
            assert caught.value.violations[0].field == f'index.parameters["{name}"]'


@pytest.mark.parametrize(
    ("parameters", "named", "allowed"),
    [
        ({"codes": "opq"}, "codes", "rabitq, pq"),
        ({"codes": "pq", "bits": "3"}, "bits", "1, 2, 4 or 8"),
    ],
)
def test_codes_that_there_are_not_are_named(
    parameters: dict[str, str], named: str, allowed: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=allowed) as caught:
        FAMILIES["ivf_pq"].check(parameters)
    assert caught.value.violations[0].field == f'index.parameters["{named}"]'


def test_parameters_are_checked_when_building_too(
    family: Family, vectors: Matrix, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgumentError):
        family.build(Pieces(vectors), Metric.COSINE, {"x": "1"}, tmp_path / "index", lambda: False)


LARGER: dict[str, dict[str, str]] = {
    "hnsw": {"m": "32"},
    "ivf_pq": {"bits": "4"},
    "sq8": {},
    "cagra": {"graph_degree": "96"},
}


def test_parameters_take_effect(family: Family, vectors: Matrix, tmp_path: Path) -> None:
    given = LARGER[family.kind]
    family.check(given)
    for name, parameters in (("default", {}), ("given", given)):
        family.build(Pieces(vectors), Metric.COSINE, parameters, tmp_path / name, lambda: False)
    default, larger = ((tmp_path / name).stat().st_size for name in ("default", "given"))
    assert larger > default if given else larger == default
    ann = family.open(tmp_path / "given", Metric.COSINE, DIMENSION)
    assert (ann.search(vectors, 1, None, Tuning())[:, 0] == np.arange(ROWS)).mean() > 0.95
