"""Texts to vectors: the Embedder protocol, one file per embedder, and the batcher."""
