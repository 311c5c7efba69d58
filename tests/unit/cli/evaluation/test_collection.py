"""The collection of an evaluation."""

from __future__ import annotations

from groundwire import Client
from groundwire_server.cli.evaluation.collection import filled

from tests.unit.cli.conftest import Platform


def test_it_is_of_the_type_that_is_to_be_measured_and_goes(platform: Platform) -> None:
    with Client(platform.address) as client:
        with filled(client, [], lambda _: None, "float16") as name:
            assert client.retrieve.get_collection(name).vector_type == "float16"
        assert name not in platform.library.collections
