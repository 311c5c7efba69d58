"""JSON objects, times and enum names between Python and protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
JSONObject: TypeAlias = Mapping[str, JSON]

# Numbers travel as binary64, which holds every whole number up to here.
LARGEST_WHOLE = 2**53
# Ten thousand years, as google.protobuf.Duration has it.
LONGEST_S = 315_576_000_000


def to_struct(value: JSONObject) -> Struct:
    """A JSON object as a message. Numbers must fit binary64: longer ones go in as strings."""
    return Struct(fields={_key(key): to_item(key, item) for key, item in value.items()})


def to_value(value: JSON) -> Value:
    """One JSON value as a message."""
    match value:
        case None:
            return Value(null_value=0)  # type: ignore[arg-type]
        case bool():
            return Value(bool_value=value)
        case str():
            return Value(string_value=value)
        case int() | float():
            return Value(number_value=_number(value))
        case Mapping():
            return Value(struct_value=to_struct(value))
        case Sequence() if not isinstance(value, bytes | bytearray):
            return Value(list_value=ListValue(values=[to_value(item) for item in value]))
    raise TypeError(
        f"Metadata is JSON: text, numbers, booleans, null, lists and objects; got {value!r}."
    )


def to_item(key: str, item: JSON) -> Value:
    """One JSON value as a message; the key of it is in what is raised."""
    try:
        return to_value(item)
    except UnicodeError:
        raise
    except (ValueError, TypeError) as error:
        raise type(error)(f'"{key}": {error}') from None


def from_struct(struct: Struct) -> dict[str, JSON]:
    """A JSON object from a message. Whole numbers come back as ``int``."""
    fields = struct.fields
    # Half as long as over its items, which protobuf makes one by one in Python.
    return {key: from_value(fields[key]) for key in fields}


def from_value(value: Value) -> JSON:
    """One JSON value from a message."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            whole = number.is_integer() and abs(number) <= LARGEST_WHOLE
            return int(number) if whole else number
        case "list_value":
            return [from_value(item) for item in value.list_value.values]
        case "struct_value":
            return from_struct(value.struct_value)
    return None


def to_time(message: Timestamp) -> datetime | None:
    """A moment in UTC, or None for one that was not set."""
    if not (message.seconds or message.nanos):
        return None
    return message.ToDatetime(UTC)


def to_stamp(name: str, time: datetime | None) -> Timestamp | None:
    """A moment as a message; ``name`` is the field's. Raises ValueError for one without a zone."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"{name}: {time!r} has no time zone: give an aware time.")
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def to_seconds(message: Duration) -> float:
    """A duration in seconds."""
    return message.seconds + message.nanos / 1e9


def to_duration(name: str, seconds: float) -> Duration:
    """Seconds as a message; ``name`` is the field's, for what is wrong with them."""
    duration = Duration()
    try:
        duration.FromNanoseconds(round(seconds * 1e9))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{name}: {seconds!r} is not a number of seconds up to {LONGEST_S:,}."
        ) from None
    return duration


def enum_number(kind: EnumDescriptor, word: str | None) -> Any:
    """The number that a word ("hybrid" for SEARCH_MODE_HYBRID) stands for; None: unspecified."""
    if word is None:
        return 0
    prefix = _prefix(kind)
    try:
        return kind.values_by_name[prefix + word.upper()].number
    except KeyError:
        known = [value.name.removeprefix(prefix).lower() for value in kind.values[1:]]
        raise ValueError(f"{word!r} is not one of {', '.join(known)}.") from None


def enum_word(kind: EnumDescriptor, number: int) -> str:
    """The word for a number; "unknown" for one that this client is too old to know."""
    if number not in kind.values_by_number:
        return "unknown"
    return kind.values_by_number[number].name.removeprefix(_prefix(kind)).lower()


def _prefix(kind: EnumDescriptor) -> str:
    return kind.values_by_number[0].name.removesuffix("UNSPECIFIED")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"Keys of a JSON object are text; got {key!r}.")
    return key


def _number(number: float) -> float:
    if isinstance(number, int) and abs(number) > LARGEST_WHOLE:
        raise ValueError(f"{number} does not fit a JSON number exactly: send it as text.")
    return float(number)
