"""`groundwire doctor`: each finding, and what it means."""

from __future__ import annotations

import json
import socket
from functools import partial
from pathlib import Path

import pytest
from groundwire_index.errors import FailedPreconditionError
from groundwire_server.__main__ import main
from groundwire_server.cli import doctor, probe_machine, probe_software
from groundwire_server.cli.finding import Finding
from groundwire_server.embedders import weights


def cpuinfo(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(
        f"processor\t: 0\nmodel name\t: Abacus 9\nflags\t\t: {flags}\n\nprocessor\t: 1\n"
    )
    return path


@pytest.mark.parametrize(
    ("flags", "best", "state"),
    [
        ("fpu avx2 avx512f avx512_bf16 amx_bf16", "amx_bf16", "ok"),
        ("fpu avx2 avx512f avx512_bf16", "avx512_bf16", "ok"),
        ("fpu avx2 avx512f", "avx512f", "ok"),
        ("fpu avx2", "avx2", "ok"),
        ("fpu sse2", "without AVX2", "note"),
    ],
)
def test_the_best_vector_unit_is_explained(
    tmp_path: Path, flags: str, best: str, state: str
) -> None:
    finding = probe_machine.processor(cpuinfo(tmp_path, flags))
    assert finding.state == state
    assert best in finding.meaning
    assert "Abacus 9" in finding.value


def test_a_machine_that_does_not_say_what_it_is_is_no_failure(tmp_path: Path) -> None:
    assert probe_machine.processor(tmp_path / "none").state == "note"


def test_room_is_looked_for_where_the_data_would_be(tmp_path: Path) -> None:
    assert probe_machine.disk(tmp_path / "not" / "there" / "yet").state in ("ok", "note")


def test_a_folder_that_cannot_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permissions do not bind root, as which tests may run.
    monkeypatch.setattr(probe_machine.os, "access", lambda path, mode: False)
    finding = probe_machine.disk(tmp_path)
    assert finding.state == "problem"
    assert "--data-dir" in finding.meaning


def test_a_port_that_is_taken_is_worth_a_note() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        finding = probe_machine.port("gRPC port", address, "--listen")
    assert finding.state == "note"
    assert "taken" in finding.value
    assert probe_machine.port("gRPC port", "127.0.0.1:0", "--listen").state == "ok"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_software, "PACKAGES", ("grpcio", "no-such-package"))
    finding = probe_software.packages()
    assert finding.state == "problem"
    assert "no-such-package" in finding.meaning
    assert "grpcio" in finding.value


def test_weights_that_are_not_what_was_published_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(weights, "built_in_folder", lambda: tmp_path)
    finding = probe_software.embedder()
    assert finding.state == "problem"
    assert "reinstall" in finding.meaning


def test_weights_that_are_whole_are_checked_and_said_to_be() -> None:
    assert probe_software.embedder().state == "ok"


def test_a_missing_redis_server_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise FailedPreconditionError("install it")

    monkeypatch.setattr(probe_software, "bundled_executable", missing)
    finding = probe_software.redis_server()
    assert (finding.state, finding.meaning) == ("problem", "install it.")


def test_the_bundled_redis_server_runs() -> None:
    finding = probe_software.redis_server()
    assert finding.state == "ok"
    assert finding.value.startswith("v=")


def test_without_vllm_it_is_said_what_answers_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_software, "find_spec", lambda name: None)
    finding = probe_software.vllm()
    assert finding.state == "note"
    assert "extractive" in finding.meaning


def same(finding: Finding) -> Finding:
    return finding


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch):
    """Lets `doctor` find these things, and nothing else."""

    def find(*findings: Finding) -> None:
        monkeypatch.setattr(doctor, "machine", lambda data_dir: [])
        monkeypatch.setattr(doctor, "software", lambda: [partial(same, one) for one in findings])

    return find


def test_a_problem_is_1(found, capsys: pytest.CaptureFixture[str]) -> None:
    found(Finding("one", "ok", "1", "Fine."), Finding("two", "problem", "2", "Broken."))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "✓ one  1\n    Fine.\n✗ two  2\n    Broken.\n" in out
    assert out.splitlines()[-1].endswith("would not work yet: two.")


def test_notes_are_no_problem(found, capsys: pytest.CaptureFixture[str]) -> None:
    found(Finding("one", "note", "1", "Not needed."))
    assert main(["doctor"]) == 0
    assert "Everything that is needed is here" in capsys.readouterr().out


def test_findings_for_programs_are_lines_of_json(found, capsys: pytest.CaptureFixture[str]) -> None:
    found(Finding("one", "ok", "1", "Fine."))
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "one",
        "state": "ok",
        "value": "1",
        "meaning": "Fine.",
    }
