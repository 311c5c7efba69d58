"""What to tell a person about a call that failed."""

from __future__ import annotations

from argparse import Namespace

from groundwire import GroundwireError
from groundwire.errors import DeadlineExceededError, UnavailableError

from groundwire_server.cli.argument_kinds import DEFAULT_SERVER
from groundwire_server.cli.connection import target


def is_unreachable(error: GroundwireError) -> bool:
    """Whether there was no server to talk to; one that answers gives a reason."""
    return isinstance(error, UnavailableError) and not error.reason


def sentence(error: GroundwireError, arguments: Namespace) -> str:
    """One sentence: what was wrong, and what to do."""
    if is_unreachable(error):
        address = target(arguments)
        listen = "" if address == DEFAULT_SERVER else f" --listen {address}"
        return (
            f"there is no server at {address}: start one with `groundwire serve{listen}`, "
            "or name another with --server"
        )
    if isinstance(error, DeadlineExceededError) and not error.reason:
        return "the server took too long: allow it more with --timeout SECONDS"
    return error.message
