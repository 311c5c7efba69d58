from __future__ import annotations

import pytest
from groundwire_index.errors import InvalidArgumentError
from groundwire_server.services.cursors import cursor_after, name_before


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "Größe", "a/b#c"])
def test_a_cursor_leads_back_to_its_name(name: str) -> None:
    assert name_before(cursor_after(name)) == name


@pytest.mark.parametrize("cursor", ["!", "a", "äöü", "____", "YQ==YQ"])
def test_a_cursor_of_another_make_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cursor"):
        name_before(cursor)
