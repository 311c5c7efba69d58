"""What each action of `groundwire sessions` takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Add = Callable[[str, str], argparse.ArgumentParser]
"""Adds an action, by its name and what it does."""


def add_actions(add: Add, number: Callable[[str], int]) -> None:
    """Add all of them; ``number`` reads one that is at least 1."""
    add("list", "List those of --subject, latest use first.")
    show = add("show", "Show one: its turns, and its forks.")
    show.add_argument("id", metavar="ID")
    show.add_argument("--thread", action="store_true", help="All that came from one, as a tree.")
    fork = add("fork", "Make one that begins as another and goes its own way.")
    fork.add_argument("id", metavar="ID")
    fork.add_argument("--at", type=number, metavar="TURN", help="Last one that is shared; or all.")
    fork.add_argument("--new-id", default="", metavar="ID", help="Default: the server makes one.")
    fork.add_argument("--title", default="", metavar="TEXT")
    delete = add("delete", "Delete some, with their turns; forks of them stay whole.")
    delete.add_argument("ids", nargs="+", metavar="ID")
    delete.add_argument("--yes", action="store_true", help="Do not ask.")
    stats = add("stats", "What the turns of one add up to.")
    stats.add_argument("id", metavar="ID")
