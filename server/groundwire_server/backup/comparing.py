"""The settings of a server, as a backup has them, and those that are in force here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.settings import Settings
from groundwire_server.settings_record import effective, recorded

# These belong to the place and not to what is stored there.
_LOCAL = frozenset({"data_dir", "ready_file"})


def settings_of_server(here: Settings) -> Mapping[str, str]:
    """What the server of a data folder last ran with, or would run with here.

    Raises FailedPreconditionError if it keeps its sessions elsewhere than these settings say:
    they would be left out.
    """
    own = effective(here)
    theirs = recorded(here.data_dir) or own
    if theirs.get("redis_url", "") != own["redis_url"]:
        raise FailedPreconditionError(
            f"the server of {here.data_dir} keeps its sessions in "
            f"{theirs.get('redis_url') or 'a Redis of its own'}, and redis_url is "
            f"{own['redis_url'] or 'empty'} here: name the same with --redis-url, --config or the "
            "environment",
            reason="OTHER_REDIS",
        )
    return theirs


def differences(saved: Mapping[str, str], here: Settings) -> Iterator[str]:
    """Each setting that is not as it was, in a sentence."""
    now = effective(here)
    for name in saved.keys() & now.keys() - _LOCAL:
        if saved[name] != now[name]:
            yield f"{name} is {now[name] or 'empty'} here, and was {saved[name] or 'empty'}"
