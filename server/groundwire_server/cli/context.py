"""Showing what a model sees of a session: what went in, what did not and why, and the words."""

from __future__ import annotations

from groundwire import Context
from groundwire.results.sessions import ContextItem
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NAMES = {
    "system_prompt": "system prompt",
    "summary": "summary",
    "memory": "memories",
    "turn": "turns",
    "query": "question",
}
_REASONS = {
    "budget": "no room",
    "incomplete_exchange": "no room for the question that they belong to",
    "unavailable": "could not be found out",
}


def show_context(context: Context, screen: Console) -> None:
    """The report of `BuildContext`, and its messages."""
    table = Table("What", "Which", box=None, header_style="faint")
    table.add_column("Tokens", justify="right")
    table.add_column("Left out because")
    for item in (*context.included, *context.dropped):
        table.add_row(
            _NAMES.get(item.kind, item.kind),
            _which(item),
            f"{item.tokens:,}",
            Text(_REASONS.get(item.why, ""), style="note"),
        )
    screen.print(table)
    screen.print(
        f"{context.tokens:,} of {context.budget_tokens:,} tokens, of a session of "
        f"{context.head:,} turns.",
        style="faint",
    )
    for message in context.messages:
        screen.print(Text.assemble((f"{message.role}: ", "number"), message.content))


def _which(item: ContextItem) -> str:
    if item.first_turn:
        return f"{item.first_turn} to {item.last_turn}"
    return ", ".join(item.memory_ids)
