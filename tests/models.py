"""A small model for tests: random weights, a real tokenizer, and a chat template."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Callable
from pathlib import Path

# Part of the folder's name: change it with anything below.
VERSION = 1

CONTEXT_LENGTH = 512
# Nothing is compiled for a model of this size, and it says the same everywhere.
VLLM_ARGS = {"enforce_eager": True, "dtype": "float32"}
SPECIAL_TOKENS = ("<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Enough for a byte-level tokenizer with words of more than one letter.
CORPUS = (
    "The observatory stands on a ridge above the valley, where the nights are dark and dry.",
    "Every visitor is asked to keep to the path and to leave the lamps covered.",
    "Questions are answered from the sources that hold an answer, and from nothing else.",
    "Die Sternwarte öffnet um 19:30 Uhr; l'entrée coûte 12 € — 望遠鏡 🔭 na kopci.",
)


def small_llama(folder: Path | None = None) -> Path:
    """A Llama of a million parameters in Hugging Face format; the same bytes every time.

    It is made once: in ``folder``, or in a folder of the system's temporary one that all test
    processes share.
    """
    return made_once(f"small-llama-{VERSION}", _make, folder)


def made_once(name: str, make: Callable[[Path], None], folder: Path | None = None) -> Path:
    """What ``make`` writes into an empty folder: ``folder``, or one that all processes share."""
    home = folder or Path(tempfile.gettempdir()) / f"groundwire-{name}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            unfinished = Path(tempfile.mkdtemp(dir=home.parent))
            make(unfinished)
            unfinished.rename(home)
    return home


def _make(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = new_tokenizer(CHAT_TEMPLATE, CONTEXT_LENGTH)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype=torch.float32,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)


def new_tokenizer(chat_template: str, context_length: int):
    """A byte-level tokenizer of 512 tokens, with its template and its longest input."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL_TOKENS[0],
        eos_token=SPECIAL_TOKENS[1],
        chat_template=chat_template,
        model_max_length=context_length,
    )
