"""Chroma databases to import from: made with Chroma itself."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import chromadb
import numpy as np
from chromadb.api import ClientAPI
from chromadb.config import Settings

from tests.e2e.listening import listening

DIMENSION = 24
WORDS = ("dome", "wind", "dusk", "mirror", "Ångström", "望遠鏡", "🔭", "a\tb\nc")


@contextmanager
def database(folder: Path) -> Iterator[ClientAPI]:
    """A database in a folder, closed and whole on disk afterwards."""
    client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    try:
        yield client
    finally:
        client.close()


def fill(client: ClientAPI, name: str, count: int, *, space: str, seed: int = 0) -> None:
    """A collection of records of every usual kind: some have no document, or no metadata."""
    collection = client.create_collection(
        name, embedding_function=None, configuration={"hnsw": {"space": space}}
    )
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    bare = range(0, count, 5)
    collection.add(ids=[f"{name}/{number}" for number in bare], embeddings=vectors[::5])
    rest = [number for number in range(count) if number % 5]
    collection.add(
        ids=[f"{name}/{number}" for number in rest],
        embeddings=vectors[rest],
        documents=[f"{WORDS[number % len(WORDS)]} {number}" for number in rest],
        metadatas=[
            {"number": number, "half": number / 2, "even": not number % 2, "tags": ["x", "y"]}
            for number in rest
        ],
    )


def state(folder: Path) -> dict[str, str]:
    """What is in a folder, byte by byte."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def chroma_server(folder: Path) -> Iterator[str]:
    """Chroma's own server on a folder, on a free port of loopback; its URL."""
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
    with listening([*command, "--host", "127.0.0.1", "--port", "0"]) as port:
        yield f"http://127.0.0.1:{port}"
