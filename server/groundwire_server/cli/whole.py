"""What `groundwire backup` and `groundwire restore` have in common."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from groundwire_index.errors import GroundwireError

from groundwire_server.backup.manifest import BackupManifest
from groundwire_server.cli.output import console, print_json
from groundwire_server.open_files import raise_file_limit
from groundwire_server.settings import Settings
from groundwire_server.settings_sources import BadSettingsError, load, parser

FAILED = 1
BAD_SETTINGS = 2


def carried_out(action: Callable[[Namespace], None], arguments: Namespace) -> int:
    """Do it, and leave nothing half done if told to stop; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Those of a collection are all open at once while it is copied.
    raise_file_limit()
    try:
        action(arguments)
    except BadSettingsError as error:
        for problem in error.problems:
            note(problem)
        return BAD_SETTINGS
    except GroundwireError as error:
        note(error.message)
        return FAILED
    return 0


def settings_of(arguments: Namespace) -> Settings:
    """The settings of a server that is started here with the same flags."""
    given = {
        "--data-dir": arguments.data_dir,
        "--redis-url": arguments.redis_url,
        "--config": arguments.config,
    }
    flags = [part for flag, value in given.items() if value for part in (flag, str(value))]
    return load(parser(arguments.command), flags).settings


def progress(arguments: Namespace) -> Callable[[str], None]:
    """Says to a person what is being done."""
    return (lambda _: None) if arguments.json else note


def note(sentence: str) -> None:
    """One line of standard error."""
    sys.stderr.write(f"groundwire: {sentence}\n")
    sys.stderr.flush()


def tell(what: str, where: Path, manifest: BackupManifest, arguments: Namespace) -> None:
    """Count what is in a backup."""
    if arguments.json:
        print_json(
            {
                "path": str(where),
                "create_time": manifest.create_time,
                "version": manifest.version,
                "collections": manifest.collections,
                "records": manifest.records,
                "sessions": manifest.sessions,
                "bytes": manifest.size_bytes,
            }
        )
        return
    console().print(
        f"{what} {where} (collections: {len(manifest.collections):,}, records: "
        f"{manifest.records:,}, sessions: {manifest.sessions:,}, "
        f"{manifest.size_bytes / 2**20:,.1f} MB)",
        markup=False,
    )
