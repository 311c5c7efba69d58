"""`groundwire backup`: everything that a server has stored, into a folder or a file."""

from __future__ import annotations

from argparse import Namespace

from groundwire_server.backup.comparing import settings_of_server
from groundwire_server.backup.taking import back_up
from groundwire_server.cli.whole import carried_out, progress, settings_of, tell


def run(arguments: Namespace) -> int:
    """Take a backup; 1 if that is not possible, and then there is none."""
    return carried_out(_back_up, arguments)


def _back_up(arguments: Namespace) -> None:
    here = settings_of(arguments)
    manifest = back_up(
        here.data_dir,
        arguments.target,
        settings_of_server(here),
        here.redis_url,
        progress(arguments),
    )
    tell("backed up to", arguments.target, manifest, arguments)
