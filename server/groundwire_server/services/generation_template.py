"""Arguments of a chat template on the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from groundwire.v1 import generation_pb2
from groundwire_index.records import JsonValue

from groundwire_server.services.structs import dict_of, with_whole_numbers
from groundwire_server.services.validate import require, require_bytes

MAX_BYTES = 16 * 2**10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# What the request says elsewhere, and what would change how the template is run.
_TAKEN = frozenset(
    {
        *("add_generation_prompt", "chat_template", "continue_final_message", "conversation"),
        *("documents", "max_length", "messages", "model_config", "padding"),
        *("return_assistant_tokens_mask", "return_dict", "return_tensors", "self", "tokenize"),
        *("tokenizer", "tokenizer_kwargs", "tools", "truncation"),
    }
)


def template_arguments_of(chat: generation_pb2.Chat, field: str) -> Mapping[str, JsonValue]:
    """Read the arguments of a chat. Raises InvalidArgumentError."""
    if not chat.HasField("template_arguments"):
        return {}
    field = f"{field}.template_arguments"
    arguments: dict[str, JsonValue] = {}
    for name, value in dict_of(chat.template_arguments, field).items():
        require(
            _NAME.fullmatch(name) is not None,
            field,
            f"{name[:64]!r} is no name: 1 to 64 characters of [A-Za-z0-9_], not a digit first",
        )
        require(name not in _TAKEN, f"{field}.{name}", "is said by the request, or by the server")
        arguments[name] = with_whole_numbers(value)
    # On the wire they have no order, and come in another each time.
    ordered = json.dumps(arguments, sort_keys=True)
    require_bytes(ordered, field, max_bytes=MAX_BYTES)
    return dict(json.loads(ordered))
