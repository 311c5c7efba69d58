"""The wheel installs in a clean environment: bare it is the client, whole it is all three."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def test_bare_install_is_the_client_with_grpcio_and_protobuf_alone(
    wheel: Path, tmp_path: Path
) -> None:
    python = environment(tmp_path / "bare")
    run(python, "-m", "pip", "install", "--quiet", wheel)
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json"))
    installed = {package["name"].replace("_", "-") for package in listed}
    # typing-extensions is grpcio's own dependency; pip and setuptools come with the environment.
    assert installed - {"pip", "setuptools"} == {
        "groundwire",
        "grpcio",
        "protobuf",
        "typing-extensions",
    }
    run(python, "-c", "import groundwire; groundwire.Client('127.0.0.1:1').close()")
    refused = subprocess.run(
        [python.parent / "groundwire", "serve"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "groundwire[server]" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_all_three_packages_run_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "whole")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    # The heavy dependencies are taken from this environment; the three packages must not be.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    printed = run(
        python,
        "-c",
        "import groundwire, groundwire_index, groundwire_server.app as app;"
        "print(groundwire.__file__, groundwire_index.__file__, app.__file__, sep='\\n')",
    )
    assert all(line.startswith(str(site)) for line in printed.splitlines()), printed
    packaged = {path.name for path in site.glob("groundwire*/**/*") if path.is_file()}
    assert {"py.typed", "service_config.json"} <= packaged
    assert any(name.endswith(".lua") for name in packaged)
    assert "data_dir" in run(python, "-m", "groundwire_server", "settings", "--json")
