"""JSON Lines and Parquet: what is written is read as it was, and what is wrong is named."""

from __future__ import annotations

import json
import struct
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from groundwire import ChunkPosition, Record
from groundwire_server.cli.transfer.file_source import FileSource
from groundwire_server.cli.transfer.formats import FORMATS, file_format
from groundwire_server.cli.transfer.rows import row_of
from groundwire_server.cli.transfer.same import differences, same_json
from groundwire_server.cli.transfer.source import Placed, Refused, TransferError
from hypothesis import example, given, settings
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
counts = st.integers(0, 2**31)
positions = st.builds(
    ChunkPosition,
    counts,
    counts,
    counts,
    page=st.none() | counts,
    headings=st.lists(texts, max_size=2).map(tuple),
)
records = st.builds(
    Record,
    texts.filter(bool),
    text=st.none() | texts,
    metadata=st.dictionaries(texts, json_values, max_size=4),
    vector=st.none() | st.lists(float32, min_size=1, max_size=5).map(lambda v: array("f", v)),
    document_id=texts,
    position=st.none() | positions,
)
kinds = pytest.mark.parametrize("kind", sorted(FORMATS))


def write(kind: str, path: Path, written: Sequence[Record]) -> None:
    with file_format(kind).writer(path) as file:
        file.write([row_of(record) for record in written])


def read(kind: str, *paths: Path) -> list[Placed | Refused]:
    source = FileSource(file_format(kind), paths, None)
    items = [item for page in source.pages() for item in page]
    assert source.count() == len(items)
    return items


@kinds
@given(written=st.lists(records, max_size=4))
@settings(max_examples=60)
def test_what_is_written_is_read_as_it_was(kind: str, written: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records")
        write(kind, path, written)
        items = read(kind, path)
    assert len(items) == len(written)
    for before, after in zip(written, items, strict=True):
        assert isinstance(after, Placed)
        assert after.record.id == before.id
        assert (after.record.vector is None) == (before.vector is None)
        assert list(differences(before, after.record)) == []


@kinds
@given(bits=st.integers(0, 2**32 - 1))
@example(bits=929360195)  # Eight digits are not enough for this one.
@settings(max_examples=300)
def test_every_float_keeps_its_bits(kind: str, bits: int) -> None:
    data = struct.pack("<I", bits)
    vector = array("f", data)
    if not float("-inf") < vector[0] < float("inf"):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records")
        write(kind, path, [Record("a", vector=array("f", [*vector, -0.0, *vector]))])
        (item,) = read(kind, path)
    assert isinstance(item, Placed)
    assert item.record.vector.tobytes() == data + struct.pack("<f", -0.0) + data


@kinds
def test_an_error_while_writing_leaves_the_file_as_it_was(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(b"before")

    with (  # noqa: PT012 - leaving the context is what is tested
        pytest.raises(InterruptedError),
        file_format(kind).writer(path) as file,
    ):
        file.write([{"id": "a"}])
        raise InterruptedError
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "must be a JSON object"),
        ("{}", "id is missing"),
        ('{"id": 7}', "id must be text, and is 7"),
        ('{"id": "a", "text": ["b"]}', "text must be text, and is ['b']"),
        ('{"id": "a", "vector": "1,2"}', "vector must be a list of numbers, and is '1,2'"),
        ('{"id": "a", "vector": [1, "x"]}', "vector must be a list of numbers, and holds 'x'"),
        ('{"id": "a", "vector": [1, true]}', "vector must be a list of numbers, and holds True"),
        ('{"id": "a", "vector": []}', "vector must hold a number, or be left out"),
        ('{"id": "a", "metadata": 1}', "metadata must be an object, and is 1"),
        ('{"id": "a", "position": {"page": 1}}', "position must have ordinal, start and end"),
        ('{"id": "a", "title": "b"}', "'title' is none of id, text, vector"),
    ],
)
def test_a_line_that_is_no_record_is_named(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(f'{{"id": "first"}}\n\n{line}\n{{"id": "last"}}')
    first, refused, last = read("jsonl", path)
    assert isinstance(first, Placed)
    assert isinstance(refused, Refused)
    assert refused.place == f"line 3 of {path}"
    assert says in refused.why
    assert isinstance(last, Placed)
    assert last.place == f"line 4 of {path}"


def test_lines_end_with_a_line_feed_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    record = Record("a", text="one\u2028two\u0085three\rfour\nfive")
    write("jsonl", path, [record])
    (item,) = read("jsonl", path)
    assert isinstance(item, Placed)
    assert item.record.text == record.text


def test_parquet_of_other_makers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "foreign.parquet"
    columns = {
        "id": pyarrow.array(["a", "b"]).dictionary_encode(),
        "vector": pyarrow.array([[1.5, 2.0], [0.1, 3.0]], pyarrow.list_(pyarrow.float64(), 2)),
        "metadata": [{"page": 1, "tags": ["x"]}, {"page": 2, "tags": []}],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    first, second = read("parquet", path)
    assert isinstance(first, Placed)
    assert isinstance(second, Placed)
    assert first.record.vector == array("f", [1.5, 2.0])
    assert second.record.vector == array("f", [0.1, 3.0])
    assert first.record.metadata == {"page": 1, "tags": ["x"]}
    assert second.place == f"row 2 of {path}"


def test_a_row_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = {"id": ["a", None, "c"], "metadata": ["{}", "{}", "{"]}
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    _, missing, broken = read("parquet", path)
    assert missing == Refused(f"row 2 of {path}", "id is missing")
    assert isinstance(broken, Refused)
    assert broken.why.startswith("metadata is not JSON")


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"id": ["a"], "embedding": [[1.0]]}, "the column 'embedding' is none of id, text, vector")],
)
def test_a_column_that_would_be_lost_is_refused(
    columns: dict[str, list], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(TransferError, match=says):
        read("parquet", path)


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text(json.dumps({"id": "a"}))
    with pytest.raises(TransferError, match="cannot be read as Parquet"):
        read("parquet", path)


@kinds
def test_a_file_that_is_not_there_is_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="cannot be read: No such file"):
        read(kind, tmp_path / "missing")


def test_equality_is_that_of_json() -> None:
    assert same_json({"a": [1, {"b": None}]}, {"a": (1.0, {"b": None})})
    assert not same_json({"a": 1}, {"a": True})
    assert not same_json([1], [1, 2])
    assert not same_json({"a": None}, {})
