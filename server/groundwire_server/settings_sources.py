"""Gathers the settings from flags, environment and file, and remembers where each came from."""

from __future__ import annotations

import argparse
import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import CliSettingsSource, EnvSettingsSource, SettingsError

from groundwire_server.settings import Settings
from groundwire_server.settings_environment import CONFIG_ENV, env_of, misspelt
from groundwire_server.settings_masking import shown


class Origin(Enum):
    """Where a value came from."""

    FLAG = "flag"
    ENV = "env"
    FILE = "file"
    DEFAULT = "default"


class BadSettingsError(Exception):
    """The settings cannot be used; one sentence for each problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what is known about them."""

    settings: Settings
    origins: Mapping[str, Origin]
    """For each setting, by its name."""
    config: Path | None
    """The file that was read."""


def flag_of(name: str) -> str:
    """The flag of a setting, e.g. ``--data-dir``."""
    return "--" + name.replace("_", "-")


def parser(command: str) -> argparse.ArgumentParser:
    """A parser of arguments whose complaints are BadSettingsError; for `load`."""
    made = _Parser(prog=f"groundwire {command}", allow_abbrev=False)
    made.add_argument("--config", metavar="FILE", help="TOML file to read settings from.")
    return made


def load(arguments: argparse.ArgumentParser, argv: Sequence[str]) -> Loaded:
    """Read flags, environment and file; the first that has a value gives it.

    Raises BadSettingsError.
    """
    flags, config = _read_flags(arguments, argv)
    path = Path(config).expanduser() if config else None
    sources = {
        Origin.FLAG: flags,
        Origin.ENV: _read_env(),
        Origin.FILE: _read_file(path) if path else {},
    }
    origins = dict.fromkeys(Settings.model_fields, Origin.DEFAULT)
    values: dict[str, Any] = {}
    for origin, found in reversed(sources.items()):
        values.update(found)
        origins.update(dict.fromkeys(found, origin))
    try:
        return Loaded(Settings(**values), origins, path)
    except ValidationError as error:
        raise BadSettingsError(*(_sentence(each, origins, path) for each in error.errors())) from (
            None
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadSettingsError(f"{message} ({self.prog} --help lists what there is)")


def _read_flags(
    arguments: argparse.ArgumentParser, argv: Sequence[str]
) -> tuple[dict[str, Any], str]:
    source: CliSettingsSource[argparse.ArgumentParser] = CliSettingsSource(
        Settings,
        root_parser=arguments,
        cli_prog_name=arguments.prog,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        formatter_class=argparse.HelpFormatter,
    )
    given = arguments.parse_args(list(argv))
    values = source(parsed_args=given)()
    return values, given.config or os.environ.get(CONFIG_ENV, "")


def _read_env() -> dict[str, Any]:
    if wrong := misspelt():
        raise BadSettingsError(
            *(
                f"{variable}: there is no such setting; did you mean {meant}?"
                for variable, meant in wrong.items()
            )
        )
    source = EnvSettingsSource(Settings, env_ignore_empty=True)
    try:
        return source()
    except SettingsError as error:
        # Only values that are themselves JSON are parsed by the source.
        names = [name for name in Settings.model_fields if f'"{name}"' in str(error)]
        # Its place is told, and not the value: that may hold a key.
        why = f": {error.__cause__}" if isinstance(error.__cause__, ValueError) else ""
        raise BadSettingsError(*(f"{env_of(name)}: is not JSON{why}" for name in names)) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise BadSettingsError(f"--config {path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettingsError(f"--config {path}: is not TOML: {error}") from error


def _sentence(error: ErrorDetails, origins: Mapping[str, Origin], path: Path | None) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        return f'{path}: there is no setting "{name}"{hint}'
    cause = error.get("ctx", {}).get("error")
    message = str(cause) if cause is not None else error["msg"][0].lower() + error["msg"][1:]
    if not name:
        return message
    where = {
        Origin.FLAG: flag_of(name),
        Origin.ENV: env_of(name),
        Origin.FILE: f"{name} in {path}",
        Origin.DEFAULT: name,
    }[origins[name]]
    within = [str(part) for part in error["loc"][1:]]
    if within:
        where = f"{where}, {'.'.join(within)}"
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such key"
    return f"{where}: {shown((within or [name])[-1], error['input'])} is not allowed: {message}"
