"""Grounded answers: retrieve, pack, prompt, generate, verify citations, store."""
