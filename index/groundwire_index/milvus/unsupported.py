"""What the index in Milvus leaves to Milvus."""

from __future__ import annotations

from typing import NoReturn

from groundwire_index.errors import UnsupportedError


class NoSnapshots:
    """Refuses each call: a collection in Milvus is copied with the tools of Milvus."""

    def take(self, *_: object, **__: object) -> NoReturn:
        """Refuse."""
        raise _unsupported()

    page = delete = restore = outgoing = incoming = take


def _unsupported() -> UnsupportedError:
    return UnsupportedError(
        "snapshots are not supported with the index in Milvus: back the database up with "
        "milvus-backup, or serve with --index embedded",
        reason="SNAPSHOTS_UNSUPPORTED",
    )
