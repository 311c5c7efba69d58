"""The form that an output must have, as servers of the OpenAI API take it."""

from __future__ import annotations

import json
from typing import Any

from groundwire_index.errors import GroundwireError, InvalidArgumentError

from groundwire_server.engines.engine import Constraint, EngineRequest
from groundwire_server.engines.openai_dialect import Dialect

# Of an error that does not say which field it is about: the words of vLLM's compilers.
_ABOUT_FORMS = ("grammar", "schema", "regex", "structured output")
_FIELD, _ANY_FIELD = "constraint", "request"


def is_carried(request: EngineRequest, dialect: Dialect) -> bool:
    """Whether the server takes the form of a request: the API itself has schemas, for chats."""
    if request.constraint is None:
        return True
    in_the_api = request.constraint.json_schema is not None and request.prompt is None
    return in_the_api or request.constraint.form in dialect.forms


def constraint_fields(constraint: Constraint | None) -> dict[str, Any]:
    """The fields that say it."""
    if constraint is None:
        return {}
    if constraint.json_schema is not None:
        schema = {"name": "output", "schema": json.loads(constraint.json_schema), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    form = getattr(constraint, constraint.form)
    return {"structured_outputs": {constraint.form: list(form) if constraint.choice else form}}


def as_of_form(error: GroundwireError, constraint: Constraint | None) -> GroundwireError:
    """What a server refuses, by the name of the form if that is what it refuses."""
    if constraint is None or not isinstance(error, InvalidArgumentError):
        return error
    (violation,) = error.violations
    about = any(word in violation.description.lower() for word in _ABOUT_FORMS)
    if violation.field == _FIELD or (violation.field == _ANY_FIELD and about):
        return InvalidArgumentError(f"{_FIELD}.{constraint.form}", violation.description)
    return error


def failed_at(constraint: Constraint, error: GroundwireError) -> GroundwireError:
    """The error for a form at which a server failed that is well otherwise."""
    return InvalidArgumentError(
        f"{_FIELD}.{constraint.form}",
        f"the output cannot be held to it: {error.message}, and serves other requests",
    )
