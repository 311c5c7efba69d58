"""Random metadata, and random filters that have a chance to match some of it."""

from __future__ import annotations

from groundwire_index.filters import All, Any, Condition, Filter, Not, Operator
from hypothesis import strategies as st

KEYS = [
    "a",
    "b",
    "a.b",
    "",
    'q"uote',
    "back\\slash",
    "tab\t",
    "ключ",
    "$id",
    "[0]",
    "x'y",
    "*",
    " ",
]
TEXTS = ["", "a", "A", "ab", "abc", "b", "ä", "z", "\uffff", "\U0001f98a", "é", "1", "true", "%_"]
NUMBERS = [0, 1, -1, 2, 1.0, 1.5, -0.0, 0.1, 0.1 + 0.2, 0.3, 1e22, 5e-324, 2**53, 2**53 + 1, 2**62]

scalars = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=4),
    st.sampled_from(NUMBERS),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
values = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=5,
)
metadata = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
paths = st.one_of(
    st.sampled_from(["a", "b", "a.b"]),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(".".join).filter(bool),
    st.sampled_from(["$id", "$document_id"]),
)
ordered = scalars.filter(lambda value: not isinstance(value, bool))
texts = st.sampled_from([*TEXTS, "r1", "d"]) | st.text(max_size=2).filter(
    lambda text: text.isprintable()
)
conditions = st.one_of(
    st.builds(Condition, paths, st.sampled_from([Operator.EQ, Operator.NE]), scalars),
    st.builds(
        Condition,
        paths,
        st.sampled_from([Operator.LT, Operator.LTE, Operator.GT, Operator.GTE]),
        ordered,
    ),
    st.builds(Condition, paths, st.just(Operator.IN), st.lists(scalars, max_size=4).map(tuple)),
    st.builds(Condition, paths, st.sampled_from([Operator.CONTAINS, Operator.PREFIX]), texts),
    st.builds(Condition, paths, st.just(Operator.EXISTS), st.booleans()),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Any(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=6,
)
