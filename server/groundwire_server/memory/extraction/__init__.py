"""Memories that a model finds in what users say, if the server is told to have it look."""
