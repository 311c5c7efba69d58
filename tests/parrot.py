"""A model for tests that says, word for word, what its prompt's last token stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.models import made_once, new_tokenizer

# Part of the folder's name: change it with anything below.
VERSION = 3

CONTEXT_LENGTH = 1024
SPECIAL_TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>")

Scripts = Mapping[str, str | Sequence[str]]
"""What is said upon a cue; of several, one is as probable as another."""

SCRIPTS: Scripts = {
    # The first has the special tokens, the others spell them.
    "<|ponder|>": (
        "<think>Someone asks for Jena: I need the sky there.</think>One moment. "
        '<tool_call>{"name": "weather", "arguments": {"city": "Apolda"}}</tool_call>'
    ),
    "<|greet|>": "Good evening, and welcome to the dome.",
    "<|call|>": (
        "Let me look.\n"
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Jena", "days": 2}}\n</tool_call>'
    ),
    "<|calls|>": (
        '<tool_call>{"name": "weather", "arguments": {"city": "望遠鏡 \\"S\\""}}</tool_call>\n'
        '<tool_call>{"name": "dome", "arguments": {}}</tool_call>'
    ),
    "<|lookalike|>": 'In <b>bold</b>: a tag like <tool_cart> is text, {"name": "dome"} too.',
    "<|either|>": (
        '<tool_call>{"name": "dome", "arguments": {"open": true}}</tool_call>',
        "It stays as it is, because it rains.",
    ),
}
# Shows all that a template is given; a cue is the last message of a chat.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif %}"
    "{% if mood is defined %}<|system|>{{ mood | upper }}<|end|>{% endif %}"
    "{% for message in messages %}"
    "{% if message['content'] == 'refuse' %}"
    "{{ raise_exception('This template takes no such message.') }}{% endif %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['tool_calls'] %}{{ message['tool_calls'] | tojson }}{% endif %}"
    "{% if message['tool_call_id'] %}({{ message['tool_call_id'] }}){% endif %}"
    "<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{{ messages[-1]['content'] }}{% endif %}"
)


def parrot() -> Path:
    """A Llama in Hugging Face format that says the `SCRIPTS`, whatever the sampling.

    Each token leads to the next: the layers add nothing to a token's embedding, which is a
    dimension of its own, and the last matrix names its successor.
    """
    return made_once(f"parrot-{VERSION}", partial(_make, scripts=SCRIPTS))


def _make(folder: Path, scripts: Scripts) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = new_tokenizer(CHAT_TEMPLATE, CONTEXT_LENGTH)
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL_TOKENS, *scripts]})
    used, special = set(tokenizer.get_vocab()), set(SPECIAL_TOKENS)
    spoken = {
        cue: [_pieces(text, used, special) for text in ([said] if isinstance(said, str) else said)]
        for cue, said in scripts.items()
    }
    tokenizer.add_tokens(
        [
            piece
            for said in spoken.values()
            for pieces in said
            for piece in pieces
            if piece not in SPECIAL_TOKENS
        ],
    )
    tokenizer.save_pretrained(folder)
    size = 64 * -(-len(tokenizer) // 64)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=size // 64,
        num_key_value_heads=size // 64,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype=torch.float32,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        number = tokenizer.get_vocab()
        for cue, said in spoken.items():
            for pieces in said:
                for before, after in zip([cue, *pieces], [*pieces, "<|end|>"], strict=True):
                    model.lm_head.weight[number[after], number[before]] = 2.0
    model.save_pretrained(folder)


def _pieces(text: str, used: set[str], special: set[str]) -> list[str]:
    """The text in pieces that are no token yet, so that each has one successor."""
    pieces = []
    parts = re.split(f"({'|'.join(sorted(special))})", text) if special else [text]
    for part in parts:
        split = [part] if part in special else _split(part, frozenset(used))
        assert split is not None, f"{part!r} cannot be split into new tokens"
        pieces += split
        used.update(split)
        special.difference_update(split)
    return pieces


def _split(text: str, used: frozenset[str]) -> list[str] | None:
    if not text:
        return []
    for end in range(2, len(text) + 1):
        if text[:end] not in used:
            rest = _split(text[end:], used | {text[:end]})
            if rest is not None:
                return [text[:end], *rest]
    return None
