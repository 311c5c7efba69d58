"""Thin adapters, one per service: validate, call, convert."""
