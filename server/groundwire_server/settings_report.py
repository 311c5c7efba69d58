"""The settings as a list: for people, for programs, and for the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import get_args

from pydantic.fields import FieldInfo

from groundwire_server.settings import Settings
from groundwire_server.settings_environment import env_of
from groundwire_server.settings_masking import shown
from groundwire_server.settings_sources import Loaded, Origin, flag_of


@dataclass(frozen=True, slots=True)
class Row:
    """What there is to say about one setting."""

    name: str
    flag: str
    env: str
    value: str
    default: str
    origin: str
    """ "flag", "env", "file" or "default"."""
    description: str


def rows(loaded: Loaded) -> Iterator[Row]:
    """One row a setting, in the order of `Settings`; secrets are masked."""
    for name, field in Settings.model_fields.items():
        yield Row(
            name,
            flag_of(name),
            env_of(name),
            shown(name, getattr(loaded.settings, name)),
            shown(name, field.get_default(call_default_factory=True, validated_data={})),
            loaded.origins[name].value,
            field.description or "",
        )


def as_text(loaded: Loaded) -> str:
    """For a terminal: a paragraph a setting."""
    return "\n\n".join(map(_paragraph, rows(loaded)))


def as_json(loaded: Loaded) -> str:
    """For a program: a JSON list of objects with the fields of `Row`."""
    return json.dumps([asdict(row) for row in rows(loaded)], indent=2)


def as_markdown() -> str:
    """For the documentation: a table of all settings and their defaults."""
    lines = [
        "# Settings",
        "",
        "A value comes from the first of these that has one: a flag (`--data-dir data`), the",
        'environment (`GROUNDWIRE_DATA_DIR=data`), the TOML file (`data_dir = "data"`) that',
        "`--config FILE` or `GROUNDWIRE_CONFIG` names, the default. A variable that is set but",
        "empty counts as not set. A switch such as `insecure` is `--insecure` as a flag.",
        "`groundwire settings` lists the values in force and where each came from.",
        "",
        "A name that is no setting is refused: as a flag, in the file, and as a variable that is",
        "nearly one (`GROUNDWIRE_DATA_DRI: there is no such setting; did you mean",
        "GROUNDWIRE_DATA_DIR?`). Any other `GROUNDWIRE_...` may be somebody else's, as those that",
        "Kubernetes adds for a service named groundwire are: `serve` warns that it is ignored.",
        "",
        "| setting | default | what it is |",
        "|---|---|---|",
    ]
    for row in rows(Loaded(Settings(), dict.fromkeys(Settings.model_fields, Origin.DEFAULT), None)):
        choices = _choices(Settings.model_fields[row.name])
        default = f"`{row.default}`" if row.default else "empty"
        lines.append(f"| `{row.name}` | {default} | {row.description}{choices} |")
    return "\n".join(lines) + "\n"


def _paragraph(row: Row) -> str:
    default = row.default or "empty"
    origin = f" ({row.origin}; default {default})" if row.origin != "default" else ""
    return (
        f"{row.name} = {row.value or 'empty'}{origin}\n"
        f"    {row.description}\n"
        f"    {row.flag}  {row.env}"
    )


def _choices(field: FieldInfo) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    return f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
