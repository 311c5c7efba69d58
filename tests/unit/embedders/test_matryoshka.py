from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from groundwire_index.errors import FailedPreconditionError
from groundwire_server.embedders.matryoshka import shortened, shorter_dimensions


@pytest.mark.parametrize(
    ("config", "chosen", "shorter"),
    [
        ({}, (), []),
        ({"is_matryoshka": False, "matryoshka_dimensions": None}, (), []),
        ({"matryoshka_dimensions": [4, 8, 2, 16]}, (), [2, 4]),
        ({"is_matryoshka": True}, (), [1, 2, 3, 4, 5, 6, 7]),
        ({"is_matryoshka": True, "matryoshka_dimensions": [4]}, (), [4]),
        ({}, (6, 3, 6), [3, 6]),
        ({"matryoshka_dimensions": [4]}, (6,), [6]),
    ],
)
def test_a_model_says_what_it_was_trained_for_unless_the_operator_does(
    config: dict[str, Any], chosen: tuple[int, ...], shorter: list[int]
) -> None:
    assert list(shorter_dimensions(config, chosen, dimension=8)) == shorter


@pytest.mark.parametrize("chosen", [8, 9])
def test_a_chosen_length_must_be_shorter(chosen: int) -> None:
    with pytest.raises(FailedPreconditionError, match=rf"embedder_dimensions: {chosen} .* 8 "):
        shorter_dimensions({}, (2, chosen), dimension=8)


def test_a_cut_vector_has_unit_length_and_its_own_direction() -> None:
    vectors = np.array([[3, 4, 12], [0, 0, 1]], np.float32)

    cut = shortened(vectors, 2)

    assert cut.dtype == np.float32
    assert np.allclose(cut, [[0.6, 0.8], [0, 0]])


def test_a_vector_that_is_not_cut_is_left_as_it_is() -> None:
    vectors = np.array([[3, 4]], np.float32)

    assert shortened(vectors, 2) is vectors
