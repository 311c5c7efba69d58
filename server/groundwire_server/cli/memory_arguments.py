"""What each action of `groundwire memory` takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

KINDS = ("fact", "preference", "event", "instruction")

Add = Callable[[str, str], argparse.ArgumentParser]
"""Adds an action, by its name and what it does."""


def add_actions(add: Add) -> None:
    """Add all of them."""
    remember = add("remember", "Store one.")
    remember.add_argument("text", metavar="TEXT")
    remember.add_argument("--kind", choices=KINDS, default="fact", help="Default: fact.")
    remember.add_argument("--importance", type=float, metavar="0..1", help="Default: 0.5.")
    recall = add("recall", "Find those that matter for a query.")
    recall.add_argument("query", metavar="QUERY")
    recall.add_argument("-k", "--top-k", type=int, default=5, metavar="N", help="At most.")
    recall.add_argument("--as-of", type=_time, metavar="TIME", help="What was known at this time.")
    update = add("update", "Put another text in the place of one's.")
    update.add_argument("id", metavar="ID")
    update.add_argument("text", metavar="TEXT")
    listed = add("list", "List them, the newest first.")
    listed.add_argument("--all", action="store_true", help="Also those that were replaced.")
    forget = add("forget", "Remove some for good, with all their versions.")
    forget.add_argument("ids", nargs="*", metavar="ID")
    forget.add_argument("--session", default="", metavar="ID", help="All that came from a session.")
    forget.add_argument("--all", action="store_true", help="All of --subject.")
    forget.add_argument("--yes", action="store_true", help="Do not ask.")
    verify = add(
        "verify", "Check a receipt of --tenant's with the server's key; exit code 1 if not so."
    )
    verify.add_argument(
        "receipt", type=Path, metavar="FILE", help="As `forget --json` has put out."
    )
    verify.add_argument(
        "--data-dir", type=Path, required=True, metavar="DIR", help="The server's folder."
    )


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 2026-05-01 or 2026-05-01T12:30+02:00"
        ) from None
