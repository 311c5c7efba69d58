"""A server to command, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from groundwire_server.__main__ import main

from tests.unit.cli.library import Admin, Library, Oracle, Sessions
from tests.unit.client.conftest import closed_port as closed_port
from tests.unit.client.scripted import serving


@dataclass
class Platform:
    """The parts of the server, to look into, and its address."""

    library: Library
    oracle: Oracle
    sessions: Sessions
    admin: Admin
    address: str


@pytest.fixture
def platform() -> Iterator[Platform]:
    library, oracle, sessions, admin = Library("documents"), Oracle(), Sessions(), Admin()
    with serving(library, oracle, sessions, admin) as address:
        yield Platform(library, oracle, sessions, admin, address)


@dataclass
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Done]


@pytest.fixture
def command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command against the platform: ``command("search", "dusk")``."""
    monkeypatch.setenv("GROUNDWIRE_SERVER", platform.address)

    def run(*arguments: object) -> Done:
        code = main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Done(code, written.out, written.err)

    return run
