"""A real server of milvus-lite on loopback, which can be stopped and started."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from milvus_lite.adapter.grpc.server import start_server_in_thread


class LiteServer:
    """Speaks Milvus' own protocol over gRPC, with its data in a folder. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, on the port that it had before."""
        self._server, self._database, self._port = start_server_in_thread(
            str(self._folder), port=self._port
        )

    def stop(self) -> None:
        self._server.stop(0).wait()
        self._database.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
