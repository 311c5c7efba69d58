"""Which server a command talks to, and as whom."""

from __future__ import annotations

import os
from argparse import Namespace

from groundwire import Client
from groundwire.errors import InvalidArgumentError

from groundwire_server.cli.argument_kinds import DEFAULT_SERVER, SERVER_ENV


def target(arguments: Namespace) -> str:
    """HOST:PORT of the server."""
    return str(getattr(arguments, "server", "") or os.environ.get(SERVER_ENV) or DEFAULT_SERVER)


def connect(arguments: Namespace) -> Client:
    """A client as the arguments say; close it."""
    timeout = getattr(arguments, "timeout", None)
    timeouts = {} if timeout is None else {"timeout": timeout, "generation_timeout": timeout}
    try:
        return Client(
            target(arguments),
            tenant=getattr(arguments, "tenant", ""),
            subject=getattr(arguments, "subject", ""),
            **timeouts,
        )
    except ValueError as error:
        raise InvalidArgumentError(f"--{error}") from error
