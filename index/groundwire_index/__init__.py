"""Durable vector and keyword retrieval, usable without any server."""
