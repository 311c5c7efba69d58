"""Metrics, logs, readings of the machine."""
