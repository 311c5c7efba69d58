from __future__ import annotations

import socket

import pytest
from groundwire_index.errors import FailedPreconditionError
from groundwire_server.addresses import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_addresses_are_read_and_written(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert str(Address(host, port)) == text


@pytest.mark.parametrize(
    "text",
    ["", "50051", ":50051", "host:", "host:x", "host:65536", "host:-1", "::1:5", "host:\u0665"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|not a port|brackets"):
        Address.parse(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_is_loopback(host: str) -> None:
    Address(host, 0).require_loopback("--listen")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "fe80::1%lo"])
def test_everything_else_needs_to_be_said_in_so_many_words(host: str) -> None:
    with pytest.raises(FailedPreconditionError, match="--insecure"):
        Address(host, 0).require_loopback("--listen")


def test_a_host_that_there_is_not_is_said() -> None:
    with pytest.raises(FailedPreconditionError, match=r"there is no such host|resolution"):
        Address("nowhere.invalid", 1).require_loopback("--listen")


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(FailedPreconditionError, match="no such address"):
        Address("192.0.2.1", 0).require_free("--listen")


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FailedPreconditionError, match="port is in use"):
            Address("127.0.0.1", port).require_free("--listen")
    Address("127.0.0.1", port).require_free("--listen")
