"""Summaries of sessions, which are made in the background."""
