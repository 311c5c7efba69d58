"""What a client is told that has stopped reading, or cannot keep up."""

from __future__ import annotations

from groundwire_index.errors import ResourceExhaustedError


class SlowReaderError(ResourceExhaustedError):
    """The client does not take what it asked for, and the server keeps it no longer.

    Its status may wait for ever behind what the client has not read: nobody waits for that.
    """

    def __init__(self, patience_s: float) -> None:
        super().__init__(
            f"the stream was not read for {patience_s:g} s: read it as it comes, or cancel the "
            "call; the server's setting reader_patience_s says how long it waits",
            reason="SLOW_READER",
            retry_after_s=None,
        )
