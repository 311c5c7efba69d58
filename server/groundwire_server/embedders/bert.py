"""The BERT encoder of the built-in model, in plain torch.

It computes what sentence-transformers computes for the same folder, to within rounding, but
needs neither it nor transformers: it loads in a fraction of the time and memory, and spends
less on each small batch. Architecture: Devlin et al., 2019; mean pooling and unit length:
Reimers and Gurevych, 2019.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from groundwire_index.records import Fingerprint
from numpy.typing import NDArray

from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.embedders.encoder import DEFAULT_OPTIONS, EncoderOptions, Tokens
from groundwire_server.embedders.linear import Linear, linear_of
from groundwire_server.embedders.matryoshka import shorter_dimensions
from groundwire_server.embedders.precision import dtype_of
from groundwire_server.embedders.torch_runtime import import_torch
from groundwire_server.embedders.weights import file_digest
from groundwire_server.embedders.word_counts import WordCounts, is_by_word

# Of a text much longer than the model reads, only the start is tokenised. Enough characters
# for each token, and tokens to spare for the word that the cut goes through.
_CHARACTERS_PER_TOKEN = 16
_SPARE_TOKENS = 128
_QKV = ("query", "key", "value")


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: Linear
    attention_out: Linear
    attention_norm: tuple[Any, Any]
    up: Linear
    down: Linear
    norm: tuple[Any, Any]


class BertEncoder:
    """A sentence-transformers folder of a BERT model with mean pooling."""

    def __init__(self, model: str, folder: Path, options: EncoderOptions = DEFAULT_OPTIONS) -> None:
        """Load the folder. Blocking."""
        from tokenizers import Tokenizer

        self._torch = torch = import_torch()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = json.loads((folder / "config.json").read_text())
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config["layer_norm_eps"])
        self._width = int(config["hidden_size"])
        self._max_tokens = int(
            json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        by_word = is_by_word(self._tokenizer)
        self._count = WordCounts(self._counted).of if by_word else self._counted
        self._prefixes = {
            EmbedKind.QUERY: options.query_prefix,
            EmbedKind.PASSAGE: options.passage_prefix,
        }
        self._load(folder / "model.safetensors", int(config["num_hidden_layers"]), options)
        self._fingerprint = Fingerprint(
            model=model,
            revision=file_digest(folder / "model.safetensors"),
            pooling="mean",
            query_prefix=options.query_prefix,
            passage_prefix=options.passage_prefix,
            dimension=self._width,
            normalized=True,
        )
        self._shorter_dimensions = shorter_dimensions(
            config, options.shorter_dimensions, self._width
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
        """Count tokens without special ones, prefixes and truncation. Thread-safe."""
        return self._count(texts)

    def _counted(self, texts: Sequence[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def length(self, text: str, kind: EmbedKind) -> int:
        """Tokens of a text with prefix and special ones, without truncation."""
        return len(self._tokenizer.encode(self._prefixes[kind] + text).ids)

    def tokenize(self, texts: Sequence[str], kind: EmbedKind) -> list[Tokens]:
        """Tokenise, one for one."""
        prefixed = [self._prefixes[kind] + text for text in texts]
        heads = [self._head(text) for text in prefixed]
        encodings = self._tokenizer.encode_batch_fast(heads)
        return [
            self._tokens(
                text, kind, encoding.ids if self._is_enough(text, head, encoding) else None
            )
            for text, head, encoding in zip(prefixed, heads, encodings, strict=True)
        ]

    def encode(self, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        """Vectors of unit length, shape (batch, dimension)."""
        torch = self._torch
        lengths = [len(tokens) for tokens in batch]
        longest = max(lengths)
        ids = np.zeros((len(batch), longest), np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens.ids
        with torch.inference_mode():
            length = torch.tensor(lengths, device=self._device)
            mask = torch.arange(longest, device=self._device) < length[:, None]
            padded = min(lengths) < longest
            states = self._states(torch.from_numpy(ids).to(self._device), mask if padded else None)
            total = (states.float() * mask[:, :, None]).sum(1)
            vectors = torch.nn.functional.normalize(total, dim=-1)
            result: NDArray[np.float32] = vectors.cpu().numpy()
        return result

    def _states(self, ids: Any, mask: Any) -> Any:
        """Token states of the last layer, shape (texts, tokens, width)."""
        functional = self._torch.nn.functional
        count, length = ids.shape
        shape = (count, length, 3, self._heads, self._width // self._heads)
        attended = None if mask is None else mask[:, None, None, :]
        x = self._norm(self._words[ids] + self._positions[:length], self._embedding_norm)
        for layer in self._layers:
            query, key, value = layer.qkv(x).view(shape).permute(2, 0, 3, 1, 4)
            heads = functional.scaled_dot_product_attention(query, key, value, attn_mask=attended)
            joined = heads.transpose(1, 2).reshape(count, length, self._width)
            x = self._norm(layer.attention_out.plus(joined, x), layer.attention_norm)
            x = self._norm(layer.down.plus(layer.up.gelu(x), x), layer.norm)
        return x

    def _norm(self, x: Any, parameters: tuple[Any, Any]) -> Any:
        return self._torch.nn.functional.layer_norm(x, (self._width,), *parameters, self._epsilon)

    def _load(self, path: Path, layers: int, options: EncoderOptions) -> None:
        from safetensors.torch import load_file

        dtype = dtype_of(options.precision, self._torch)
        weights = {
            name: tensor.to(self._device, dtype) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(path).items()
        }

        kind = linear_of(self._torch, self._device, dtype)

        def pair(name: str) -> tuple[Any, Any]:
            return weights[f"{name}.weight"], weights[f"{name}.bias"]

        def linear(*names: str) -> Linear:
            weight, bias = map(self._torch.cat, zip(*map(pair, names), strict=True))
            return kind(self._torch, weight, bias)

        self._words = weights["embeddings.word_embeddings.weight"]
        # There is one segment, so its embedding is a constant.
        self._positions = (
            weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._embedding_norm = pair("embeddings.LayerNorm")
        self._layers = [
            _Layer(
                qkv=linear(*(f"{name}.attention.self.{part}" for part in _QKV)),
                attention_out=linear(f"{name}.attention.output.dense"),
                attention_norm=pair(f"{name}.attention.output.LayerNorm"),
                up=linear(f"{name}.intermediate.dense"),
                down=linear(f"{name}.output.dense"),
                norm=pair(f"{name}.output.LayerNorm"),
            )
            for name in (f"encoder.layer.{number}" for number in range(layers))
        ]

    def _head(self, text: str) -> str:
        return text[: self._max_tokens * _CHARACTERS_PER_TOKEN]

    def _is_enough(self, text: str, head: str, encoding: Any) -> bool:
        return len(head) == len(text) or len(encoding.ids) >= self._max_tokens + _SPARE_TOKENS

    def _tokens(self, text: str, kind: EmbedKind, ids: list[int] | None) -> Tokens:
        if ids is None:
            ids = self._tokenizer.encode(text).ids
        if len(ids) <= self._max_tokens:
            return Tokens(text, kind, ids, truncated=False)
        return Tokens(text, kind, [*ids[: self._max_tokens - 1], ids[-1]], truncated=True)
