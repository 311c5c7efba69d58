"""Server-sent events, as far as the OpenAI API uses them: each is one JSON object."""

from __future__ import annotations

from collections.abc import Iterator


class ServerSentEvents:
    """Takes bytes as they come, cut anywhere; gives the data of each event that is whole.

    Decoding is left to the reader of an event, so that no code point is ever split. Comments and
    fields other than ``data`` are passed over, as the format demands.
    """

    def __init__(self) -> None:
        self._line = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of the events that end in this chunk."""
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line:
                self._take(line)
            elif self._data:
                data, self._data = b"\n".join(self._data), []
                yield data

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
