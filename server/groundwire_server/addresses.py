"""Network addresses to listen on, and whether they can be had."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Self

from groundwire_index.errors import FailedPreconditionError


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address, and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read HOST:PORT or [IPV6]:PORT. Raises ValueError, which says what is wrong."""
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise ValueError("must be HOST:PORT, e.g. 127.0.0.1:50051")
        if not port.isascii() or not port.isdigit() or int(port) > 65_535:
            raise ValueError(f'"{port}" is not a port: 0 to 65535')
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError("an IPv6 address needs brackets, e.g. [::1]:50051")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def require_loopback(self, setting: str) -> None:
        """Raise FailedPreconditionError if other machines can reach this address."""
        if all(ipaddress.ip_address(ip).is_loopback for _, ip in self._resolved(setting)):
            return
        raise FailedPreconditionError(
            f"{setting} {self} can be reached from other machines, but callers are not "
            "authenticated: listen on 127.0.0.1, or say --insecure if the network is trusted",
            reason="NOT_LOOPBACK",
        )

    def require_free(self, setting: str) -> None:
        """Raise FailedPreconditionError if nothing can listen here, saying why."""
        for family, ip in self._resolved(setting):
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((ip, self.port))
                except OSError as error:
                    raise self.unusable(setting, error) from error

    def unusable(self, setting: str, error: OSError) -> FailedPreconditionError:
        """The error that says why this address cannot be listened on."""
        why = _ADVICE.get(error.errno or 0) or f"{error.strerror or error}"
        return FailedPreconditionError(
            f"cannot listen on {setting} {self}: {why}", reason="ADDRESS_UNUSABLE"
        )

    def _resolved(self, setting: str) -> set[tuple[socket.AddressFamily, str]]:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise self.unusable(setting, error) from error
        # Without its zone ("%eth0"), which says nothing about who can reach it.
        return {(family, str(where[0]).partition("%")[0]) for family, _, _, _, where in found}


_ADVICE = {
    errno.EADDRINUSE: "the port is in use; stop what uses it, or choose another (0: any free one)",
    errno.EACCES: "this user may not; choose a port above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    socket.EAI_NONAME: "there is no such host",
}
