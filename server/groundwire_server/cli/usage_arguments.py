"""What `groundwire usage` takes."""

from __future__ import annotations

import argparse
from datetime import date


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Add all of them."""
    made.add_argument("--of", default="", metavar="SUBJECT", help="Of this one; or of all.")
    made.add_argument("--model", default="", metavar="NAME", help="Of this one; or of all.")
    made.add_argument("--since", type=_day, metavar="YYYY-MM-DD", help="First day (UTC).")
    made.add_argument("--until", type=_day, metavar="YYYY-MM-DD", help="Last day (UTC).")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not 1970 <= day.year < 2200:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-01-31")
    return day
