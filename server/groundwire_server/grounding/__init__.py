"""Retrieve, pack, prompt, generate, verify citations."""
