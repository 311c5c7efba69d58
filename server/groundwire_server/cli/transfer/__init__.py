"""Moving records in and out: sources, the collection they go to, and files they are written to."""
