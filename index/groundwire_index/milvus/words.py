"""Texts and numbers as ASCII words that sort as they do.

Expressions of Milvus compare these instead of the values: then nothing in them needs escaping,
no wildcard is meant as a character, and no large integer is rounded. A text starts with, holds
or equals another if and only if their words do.
"""

from __future__ import annotations

import math
import struct

# One alphabet for the first letter of a byte and one for the second: a word is found within
# another at whole bytes only.
_FIRST = bytes(ord("a") + (byte >> 4) for byte in range(256))
_SECOND = bytes(ord("A") + (byte & 15) for byte in range(256))
_ALL_BITS = 2**64 - 1
_SIGN_BIT = 2**63


def text_word(text: str) -> str:
    """Two letters for each byte of UTF-8, whose order is that of the code points."""
    data = text.encode()
    word = bytearray(2 * len(data))
    word[0::2] = data.translate(_FIRST)
    word[1::2] = data.translate(_SECOND)
    return word.decode("ascii")


def text_of(word: str) -> str:
    """The text of a word."""
    letters = word.encode("ascii")
    pairs = zip(letters[0::2], letters[1::2], strict=True)
    return bytes((first - ord("a")) << 4 | second - ord("A") for first, second in pairs).decode()


def number_word(number: float) -> str:
    """19 digits: the nearest double that is not above the number, and how far above it is."""
    below = float(number) + 0.0  # no negative zero
    if below > number:
        below = math.nextafter(below, -math.inf)
    above = int(number) - int(below) if isinstance(number, int) else 0
    (bits,) = struct.unpack(">Q", struct.pack(">d", below))
    ordered = bits ^ (_ALL_BITS if bits & _SIGN_BIT else _SIGN_BIT)
    return f"{ordered:016x}{above:03x}"
