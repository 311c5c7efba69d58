"""`groundwire restore`: a backup into a data folder, or only checked."""

from __future__ import annotations

from argparse import Namespace

from groundwire_index.storage.failures import storage_errors

from groundwire_server.backup.comparing import differences
from groundwire_server.backup.reading import check, source_at
from groundwire_server.backup.restoring import restore
from groundwire_server.cli.whole import carried_out, note, progress, settings_of, tell


def run(arguments: Namespace) -> int:
    """Restore or check a backup; 1 if that is not possible, and then nothing has changed."""
    return carried_out(_check if arguments.check else _restore, arguments)


def _check(arguments: Namespace) -> None:
    with storage_errors(arguments.source):
        manifest = check(source_at(arguments.source))
    tell("sound:", arguments.source, manifest, arguments)


def _restore(arguments: Namespace) -> None:
    here = settings_of(arguments)
    restored = restore(
        arguments.source,
        here.data_dir,
        here.redis_url,
        progress(arguments),
        replacing=arguments.replace,
    )
    tell("restored to", here.data_dir, restored.manifest, arguments)
    for difference in sorted(differences(restored.settings, here)):
        note(f"not as in the server that was backed up: {difference}")
