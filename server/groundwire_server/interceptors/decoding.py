"""Turns the bytes of a request into its message, or says what is wrong with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from google.protobuf.message import DecodeError
from groundwire_index.errors import InvalidArgumentError, ResourceExhaustedError

Decode = Callable[[bytes], Any]

# gRPC itself takes no more.
LARGEST_MESSAGE_BYTES = 2**31 - 1


def decoder(deserializer: Any, max_bytes: int) -> Decode:
    """Decode the requests of one method.

    Raises ResourceExhaustedError for more than ``max_bytes``, before any of them are read, and
    InvalidArgumentError for bytes that are no message.
    """

    def decode(data: bytes) -> Any:
        if len(data) > max_bytes:
            raise _too_large(len(data), max_bytes)
        try:
            return deserializer(data)
        except DecodeError as error:
            raise InvalidArgumentError(
                "request", "is not a valid message of this method", reason="MALFORMED_MESSAGE"
            ) from error

    return decode


class DecodedRequests:
    """The messages of a stream. One that is refused raises, and the next can still be read."""

    def __init__(self, requests: AsyncIterator[bytes], decode: Decode) -> None:
        self._requests = requests
        self._decode = decode

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._decode(await anext(self._requests))


def receive_limit(max_bytes: int) -> int:
    """What gRPC is let take in, in bytes, so that `decoder` comes to refuse what is too large.

    gRPC's own refusal does not say what to do; past twice the limit memory matters more.
    """
    return min(2 * max_bytes, LARGEST_MESSAGE_BYTES)


def _too_large(size: int, max_bytes: int) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        f"the message has {size:,} bytes, over the {max_bytes:,} that this server takes: send "
        "fewer records or texts in a call, send a document in smaller pieces through "
        "IngestDocument, or raise the server's setting max_message_bytes",
        reason="MESSAGE_TOO_LARGE",
        retry_after_s=None,
        metadata={"size_bytes": str(size), "max_message_bytes": str(max_bytes)},
    )
