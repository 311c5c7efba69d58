"""Snapshots: consistent copies of a collection, kept beside it, that it is restored from."""
