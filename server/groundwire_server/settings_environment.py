"""Which variables of the environment are settings, which are misspelt, and which are others'.

Whoever starts a server does not write all of its environment: Kubernetes adds
``GROUNDWIRE_SERVICE_HOST`` and more beside a service named groundwire. So a variable that is
nearly a setting is a mistake, and one that is far from all of them is none.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator

from groundwire_server.cli.argument_kinds import SERVER_ENV
from groundwire_server.settings import Settings

PREFIX = "GROUNDWIRE_"
CONFIG_ENV = f"{PREFIX}CONFIG"

# From here on two names are one and its misspelling, as difflib compares them.
_ALIKE = 0.8


def env_of(name: str) -> str:
    """The environment variable of a setting, e.g. ``GROUNDWIRE_DATA_DIR``."""
    return PREFIX + name.upper()


def misspelt() -> dict[str, str]:
    """Variables that are no settings, each with the one that is meant."""
    return {variable: meant for variable in _unknown() if (meant := _meant_by(variable))}


def ignored() -> list[str]:
    """Variables that are named like settings, and mean nothing."""
    return [variable for variable in _unknown() if not _meant_by(variable)]


def _unknown() -> Iterator[str]:
    known = {*map(env_of, Settings.model_fields), CONFIG_ENV, SERVER_ENV}
    for variable, value in sorted(os.environ.items()):
        if value and variable.upper().startswith(PREFIX) and variable.upper() not in known:
            yield variable


def _meant_by(variable: str) -> str:
    names = [*map(str.upper, Settings.model_fields), CONFIG_ENV.removeprefix(PREFIX)]
    near = difflib.get_close_matches(variable.upper().removeprefix(PREFIX), names, 1, _ALIKE)
    return PREFIX + near[0] if near else ""
