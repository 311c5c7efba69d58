"""Serves the metrics over HTTP, or does not."""

from __future__ import annotations

import socket
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from groundwire_server.addresses import Address


class MetricsEndpoint(Protocol):
    """Where metrics are read."""

    def open(self) -> Address | None:
        """Listen; the address, if there is one. Raises FailedPreconditionError."""
        ...

    def close(self) -> None:
        """Stop listening. Idempotent."""
        ...


class HttpMetrics:
    """Every GET is answered with the metrics, from a thread of its own."""

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        self._address = address
        self._registry = registry
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def open(self) -> Address:
        """Listen."""
        self._address.require_free("--metrics-listen")
        server = make_server(
            self._address.host,
            self._address.port,
            make_wsgi_app(self._registry),
            _Server.of(self._address.host),
            _Silent,
        )
        self._thread = Thread(target=server.serve_forever, args=[0.05], name="metrics", daemon=True)
        self._thread.start()
        self._server = server
        return Address(self._address.host, server.server_port)

    def close(self) -> None:
        """Stop listening."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None


class NoMetrics:
    """Metrics are switched off."""

    def open(self) -> None:
        """Listen nowhere."""

    def close(self) -> None:
        """Nothing to stop."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    @classmethod
    def of(cls, host: str) -> type[_Server]:
        return _ServerIPv6 if ":" in host else cls


class _ServerIPv6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Scrapes are not news."""
