"""Names that change in one step, whatever happens meanwhile."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from groundwire_index.errors import AlreadyExistsError, FailedPreconditionError
from groundwire_index.storage.folders import sync_folder

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_OFFERED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
_NO_LINK = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})


def publish(made: Path, target: Path) -> None:
    """Give a finished file or folder its name, durably.

    Raises AlreadyExistsError if there is something of that name by now, other than an empty
    folder for a folder, and OSError.
    """
    try:
        if made.is_dir():
            made.rename(target)
        else:
            _publish_file(made, target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise taken(target) from None
    sync_folder(target.parent)


def exchange(one: Path, other: Path) -> None:
    """Let two folders of one disk have each other's names, durably: always both, or neither.

    Raises FailedPreconditionError where the file system cannot, and OSError.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        raise _not_offered(other) from None
    names = os.fsencode(one), os.fsencode(other)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        if code in _NOT_OFFERED:
            raise _not_offered(other)
        raise OSError(code, os.strerror(code), str(other))
    for folder in (one.parent, other.parent):
        sync_folder(folder)


def taken(target: Path) -> AlreadyExistsError:
    """There is something of that name."""
    return AlreadyExistsError(
        f"{target} is there already: name a new one, or remove it first",
        metadata={"resource_type": "file", "resource_name": str(target)},
    )


def _publish_file(made: Path, target: Path) -> None:
    try:
        os.link(made, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        # It was not there when the backup began; there is no other way to be sure here.
        made.rename(target)


def _not_offered(folder: Path) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"the file system of {folder} cannot switch two folders in one step: move the old one "
        "away yourself, then restore without --replace",
        reason="CANNOT_SWITCH",
    )
