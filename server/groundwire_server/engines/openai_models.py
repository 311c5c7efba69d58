"""What a server of the OpenAI API says of its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundwire_index.errors import FailedPreconditionError, UnavailableError

from groundwire_server.engines.openai_dialect import Dialect, dialect_of
from groundwire_server.engines.openai_http import OpenAiServer

# Ollama lists a model with the version that is meant when none is named.
_DEFAULT_VERSION = ":latest"
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of a server."""

    context_length: int
    """In tokens; 0 if the server does not say."""
    dialect: Dialect


async def served_model(server: OpenAiServer, model: str, dialect: str) -> ServedModel:
    """Ask for a model by name. Raises FailedPreconditionError, with what there is, if it is not."""
    listed = _listed(server, server.json(await server.get("/models")))
    told = listed.get(model, listed.get(model + _DEFAULT_VERSION))
    if told is None:
        names = ", ".join(f'"{name}"' for name in sorted(listed)[:_MOST_NAMED]) or "none"
        raise FailedPreconditionError(
            f'{server.settings}_model: {server.url} has no model "{model}"; it has {names}',
            reason="REMOTE_NOT_FOUND",
        )
    length = told.get("max_model_len") or 0
    return ServedModel(int(length), dialect_of(dialect, str(told.get("owned_by", ""))))


def _listed(server: OpenAiServer, answer: Any) -> Mapping[str, Mapping[str, Any]]:
    try:
        return {str(each["id"]): each for each in answer["data"] or ()}
    except (KeyError, TypeError):
        raise UnavailableError(
            f"{server.url}/models is no list of models: {server.settings}_url must be the address "
            "of an OpenAI-compatible API, which most often ends with /v1",
            reason="REMOTE_PROTOCOL",
        ) from None
