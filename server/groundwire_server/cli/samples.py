"""Where the sample documents are."""

from __future__ import annotations

from pathlib import Path

import groundwire_server


def handbook() -> Path | None:
    """The folder of the sample handbook, in a checkout; None where there is no checkout."""
    # server/groundwire_server/__init__.py, so the root of the checkout is three up.
    folder = Path(groundwire_server.__file__).resolve().parents[2] / "samples/handbook"
    return folder if folder.is_dir() else None
