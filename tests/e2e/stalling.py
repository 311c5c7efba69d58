"""A way to a server that takes the beginning of what a client sends, and then nothing more."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stalling(address: str, *, after_bytes: int) -> Iterator[str]:
    """Listen on loopback for one client of the server at ``address``; yields HOST:PORT.

    All that the server says is passed on, and about so many bytes of the client.
    """
    host, _, port = address.rpartition(":")
    over = threading.Event()
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            client = opened.enter_context(listener.accept()[0])
            server = opened.enter_context(socket.create_connection((host, int(port))))
            threading.Thread(target=_pass, args=(server, client), daemon=True).start()
            _pass(client, server, most=after_bytes)
            over.wait()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        over.set()


def _pass(source: socket.socket, target: socket.socket, *, most: int | None = None) -> None:
    passed = 0
    # Either end may be closed at any time.
    with contextlib.suppress(OSError):
        while (most is None or passed < most) and (data := source.recv(2**12)):
            target.sendall(data)
            passed += len(data)
