"""`groundwire index`, on the data of a server that ran."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import groundwire
import pytest

from tests.e2e.serving import ServerProcess


def command(data: Path, action: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "groundwire_server", "index", action),
            *("--data-dir", str(data), *options),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fill(address: str) -> None:
    with groundwire.Client(address) as client:
        client.retrieve.create_collection("points", embedder="none", dimension=2)
        records = (groundwire.Record(str(n), vector=[1.0, float(n)]) for n in range(100))
        client.retrieve.upsert_stream("points", records)
        client.retrieve.delete("points", [str(n) for n in range(50)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("index") / "data"
    with ServerProcess(data) as server:
        fill(server.address)
        refused = command(data, "stat")
        assert refused.returncode == 1
        assert "is in use by process" in refused.stderr
    return data


def test_stat_tells_people_and_programs(data: Path) -> None:
    told = command(data, "stat").stdout
    assert "points" in told
    assert "vectors of float32" in told
    done = command(data, "stat", "--json")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["name"], line["records"], line["vector_type"]) == ("points", 50, "float32")


def test_verify_then_compact(data: Path) -> None:
    assert "sound" in command(data, "verify").stdout
    done = command(data, "compact", "--json")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, line["purged"]) == (0, 50)
    (file,) = data.glob("index/collections/*/segments/*.f32")
    content = bytearray(file.read_bytes())
    content[8 * 60] ^= 1
    file.write_bytes(content)
    broken = command(data, "verify", "--json")
    assert broken.returncode == 1
    (line,) = map(json.loads, broken.stdout.splitlines())
    assert line["file"] == str(file)
    assert "checksum" in line["what"]


def test_a_folder_without_an_index_is_told(tmp_path: Path) -> None:
    done = command(tmp_path, "verify")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no index in" in done.stderr
