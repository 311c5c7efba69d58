"""The server that end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.serving import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A whole server on embedded defaults; use names of your own in it, others use it too."""
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process
