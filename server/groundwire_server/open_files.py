"""How many files this process may have open."""

from __future__ import annotations

import resource


def raise_file_limit() -> None:
    """Have as many as we may: each collection in use keeps some."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
