from __future__ import annotations

import math

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.records import JsonValue
from groundwire_server.services.structs import dict_of, fill_struct, value_of
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON))
def test_an_object_comes_back_as_it_went(metadata: dict[str, JsonValue]) -> None:
    struct = Struct()
    fill_struct(struct, metadata)
    assert dict_of(Struct.FromString(struct.SerializeToString()), "metadata") == metadata


def test_whole_numbers_stay_equal_to_integers() -> None:
    struct = Struct()
    fill_struct(struct, {"year": 1999, "big": 2**53})
    assert dict_of(struct, "metadata") == {"year": 1999, "big": 2**53}


def test_booleans_are_no_numbers() -> None:
    struct = Struct()
    fill_struct(struct, {"yes": True})
    assert dict_of(struct, "metadata")["yes"] is True


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_refused_with_its_path(number: float) -> None:
    struct = Struct()
    struct.update({"a": {"b": [1.0, number]}})
    with pytest.raises(InvalidArgumentError) as refused:
        dict_of(struct, "metadata")
    assert refused.value.violations[0].field == "metadata.a.b[1]"


def test_a_value_that_is_not_set_is_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        value_of(Value(), "eq")
