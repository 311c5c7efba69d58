"""A whole server in this process, as app.py composes it, behind a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwire_server import app
from groundwire_server.settings import Settings

from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class WholeServer:
    """Where it listens, and where its parts are."""

    address: str
    data_dir: Path

    @property
    def redis_socket(self) -> Path:
        """Of the private Redis with the sessions."""
        return self.data_dir / "redis/redis.sock"


@asynccontextmanager
async def whole_server(data_dir: Path, **settings: Any) -> AsyncIterator[WholeServer]:
    """Run one on embedded defaults, but for these settings, until the block ends."""
    server = app.server(
        Settings(
            data_dir=data_dir,
            listen="127.0.0.1:0",
            metrics_listen="off",
            stop_delay_s=0,
            # However busy the machine is, they are there.
            **{"cache_timeout_s": PATIENCE_S, "redis_timeout_s": PATIENCE_S, **settings},
        )
    )
    stopping, serving = asyncio.Event(), asyncio.Event()
    life = asyncio.create_task(server.run(stopping, opened=serving.set))
    opened = asyncio.create_task(serving.wait())
    try:
        await asyncio.wait((life, opened), return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if life.done():
            life.result()
        yield WholeServer(str(server.addresses["grpc"]), data_dir)
    finally:
        stopping.set()
        await life
