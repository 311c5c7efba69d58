from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from groundwire_server.observability import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_of_any_library_are_objects_with_their_extra_fields(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logging.getLogger("library").info("loaded %d", 3, extra={"seconds": 1.5})
    structlog.get_logger("ours").warning("odd", tenant="a")
    first, second = lines(stream)
    assert (first["event"], first["seconds"], first["logger"]) == ("loaded 3", 1.5, "library")
    assert (second["event"], second["tenant"], second["level"]) == ("odd", "a", "warning")
    assert str(first["timestamp"]).endswith("Z")


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    logs.configure("warning", "json", stream)
    logging.getLogger("x").info("no")
    logging.getLogger("x").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_a_traceback_stays_on_its_line(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    try:
        raise RuntimeError("because")
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    (line,) = lines(stream)
    assert "RuntimeError: because" in str(line["exception"])


def test_warnings_are_lines_too(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert any("old" in str(line["event"]) for line in lines(stream))


def test_for_people_lines_are_text(stream: io.StringIO) -> None:
    logs.configure("info", "console", stream)
    logging.getLogger("x").info("serving", extra={"grpc": "127.0.0.1:1"})
    assert "serving" in stream.getvalue()
    assert "grpc=127.0.0.1:1" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_auto_is_for_programs_unless_it_is_a_terminal(stream: io.StringIO) -> None:
    logs.configure("info", "auto", stream)
    logging.getLogger("x").info("hello")
    assert lines(stream)[0]["event"] == "hello"
