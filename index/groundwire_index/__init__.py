"""Durable vector and keyword retrieval, usable without any server."""

from groundwire_index.collection import Collection
from groundwire_index.index import Index

__all__ = ["Collection", "Index"]
