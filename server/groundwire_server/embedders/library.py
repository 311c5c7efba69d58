"""Any sentence-transformers model, through that library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.records import Fingerprint
from numpy.typing import NDArray

from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.embedders.encoder import DEFAULT_OPTIONS, EncoderOptions, Tokens
from groundwire_server.embedders.matryoshka import shorter_dimensions
from groundwire_server.embedders.precision import dtype_of
from groundwire_server.embedders.torch_runtime import import_torch
from groundwire_server.embedders.weights import folder_digest

# The names under which models publish the prompts they were trained with.
_PROMPT_NAMES = {
    EmbedKind.QUERY: ("query",),
    EmbedKind.PASSAGE: ("document", "passage", "corpus"),
}


class LibraryEncoder:
    """A model by folder or hub name, run module by module as its authors put it together."""

    def __init__(self, model: str, options: EncoderOptions = DEFAULT_OPTIONS) -> None:
        """Load the model, from the hub if it is neither a folder nor cached. Blocking.

        A prefix that is not given is the model's own, if it publishes one. Raises
        FailedPreconditionError if there is no such model.
        """
        self._torch = torch = import_torch()
        self._model = _load(model, dtype_of(options.precision, torch))
        self._device = self._model.device
        # A copy: the library sets its own to pad and to cut for each batch, which would reach
        # whatever else reads texts with it at the same time.
        self._tokenizer = deepcopy(self._model.tokenizer)
        self._max_tokens = int(self._model.max_seq_length or self._tokenizer.model_max_length)
        self._prefixes = {
            kind: given or _own_prompt(self._model.prompts, kind)
            for kind, given in (
                (EmbedKind.QUERY, options.query_prefix),
                (EmbedKind.PASSAGE, options.passage_prefix),
            )
        }
        self._fingerprint = Fingerprint(
            model=_name(model),
            revision=_revision(model, self._model),
            pooling=_pooling(self._model),
            query_prefix=self._prefixes[EmbedKind.QUERY],
            passage_prefix=self._prefixes[EmbedKind.PASSAGE],
            dimension=int(self._model.get_embedding_dimension()),
            normalized=True,
        )
        self._shorter_dimensions = shorter_dimensions(
            self._model.transformers_model.config.to_dict(),
            options.shorter_dimensions,
            self._fingerprint.dimension,
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors may be compared with."""
        return self._fingerprint

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens, special ones included."""
        return self._max_tokens

    @property
    def shorter_dimensions(self) -> Sequence[int]:
        """Lengths that vectors may be cut to, ascending."""
        return self._shorter_dimensions

    @property
    def efficient_tokens(self) -> int:
        """Tokens of a batch past which a larger one is no faster for each token."""
        return 2**15 if self._device.type == "cuda" else 256 * int(self._torch.get_num_threads())

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones, prefixes and truncation."""
        return [len(ids) for ids in self._ids(texts, add_special_tokens=False)]

    def length(self, text: str, kind: EmbedKind) -> int:
        """Tokens of a text with prefix and special ones, without truncation."""
        return len(self._ids([self._prefixes[kind] + text])[0])

    def tokenize(self, texts: Sequence[str], kind: EmbedKind) -> list[Tokens]:
        """Tokenise, one for one."""
        prefix = self._prefixes[kind]
        return [
            Tokens(text, kind, ids[: self._max_tokens], len(ids) > self._max_tokens)
            for text, ids in zip(texts, self._ids([prefix + text for text in texts]), strict=True)
        ]

    def encode(self, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        """Vectors of unit length, shape (batch, dimension). All of one kind."""
        # The library tokenises again, because only it knows what its modules want to be told.
        features = self._model.preprocess(
            [tokens.text for tokens in batch], prompt=self._prefixes[batch[0].kind] or None
        )
        with self._torch.inference_mode():
            moved = {
                name: value.to(self._device) if hasattr(value, "to") else value
                for name, value in features.items()
            }
            vectors = self._model(moved)["sentence_embedding"].float()
            # A folder may say of itself that its vectors are cut: the modules do not do that.
            cut = vectors[:, : self._fingerprint.dimension]
            unit = self._torch.nn.functional.normalize(cut, dim=-1)
            result: NDArray[np.float32] = unit.cpu().numpy()
        return result

    def _ids(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[list[int]]:
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts), add_special_tokens=add_special_tokens, truncation=False, verbose=False
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids


def _load(model: str, dtype: Any) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        loaded = SentenceTransformer(model, model_kwargs={"dtype": dtype})
    except (OSError, ValueError) as error:
        raise FailedPreconditionError(
            f'the embedder "{model}" cannot be loaded: {error}. Set embedder_model to '
            '"all-MiniLM-L6-v2", a sentence-transformers folder, or a hub name in reach',
            reason="EMBEDDER_NOT_LOADED",
        ) from error
    return loaded.eval()


def _own_prompt(prompts: Mapping[str, str | None], kind: EmbedKind) -> str:
    return next((prompt for name in _PROMPT_NAMES[kind] if (prompt := prompts.get(name))), "")


def _name(model: str) -> str:
    return Path(model).resolve().name if Path(model).is_dir() else model


def _revision(model: str, loaded: Any) -> str:
    if Path(model).is_dir():
        return folder_digest(Path(model))
    return str(getattr(loaded.transformers_model.config, "_commit_hash", None) or "unknown")


def _pooling(loaded: Any) -> str:
    modes = (getattr(module, "pooling_mode", None) for module in loaded)
    mode = next((mode for mode in modes if mode), "none")
    return mode if isinstance(mode, str) else "+".join(mode)
