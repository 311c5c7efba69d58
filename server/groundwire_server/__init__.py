"""The Groundwire server."""
