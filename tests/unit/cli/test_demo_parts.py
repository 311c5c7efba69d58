"""What the demo stands on: looking citations up, a server of its own, the samples."""

from __future__ import annotations

import sys
from pathlib import Path

import groundwire
import pytest
from groundwire import Citation, Passage, Sources, TextDelta
from groundwire.results.transcript import Transcript
from groundwire_server.__main__ import main
from groundwire_server.cli import demo
from groundwire_server.cli.citation_check import check
from groundwire_server.cli.local_server import CannotStartError, local_server
from groundwire_server.cli.samples import handbook

from tests.unit.cli.conftest import Platform
from tests.unit.cli.library import NEXT_TEXT, TEXT


def answer(
    said: str = "The dome opens at dusk [1].", *, chunks: tuple[str, ...] = (), text: str = TEXT
) -> Transcript:
    made = Transcript()
    first = chunks[0] if chunks else "c1"
    made.add(Sources((Passage(1, first, "guide.pdf", "Guide", text, 1.0, 3, (), chunks),)))
    made.add(TextDelta(said, 5))
    return made


CITATION = Citation(1, 0, 22, 0, 23)


def looked_up(platform: Platform, transcript: Transcript, citation: Citation = CITATION):
    with groundwire.Client(platform.address) as client:
        return check(client, "documents", transcript, citation)


def test_a_citation_that_is_stored_and_said_holds(platform: Platform) -> None:
    checked = looked_up(platform, answer())
    assert checked.holds
    assert checked.quote == "The dome opens at dusk."
    assert "word for word" in checked.verdict


def test_a_passage_that_is_not_stored_does_not_hold(platform: Platform) -> None:
    assert not looked_up(platform, answer(chunks=("c9",))).holds


def test_a_passage_that_was_joined_is_looked_up_by_all_of_its_chunks(platform: Platform) -> None:
    joined = f"{TEXT} The lamps are red."
    assert looked_up(platform, answer(chunks=("c1", "c2"), text=joined)).holds
    for chunks, text in (
        (("c1", "c9"), joined),
        (("c2", "c1"), joined),
        (("c1",), joined),
        (("c1", "c2"), f"{joined} So is the sky."),
        (("c1", "c2"), TEXT + " It is so. " + NEXT_TEXT),
    ):
        assert not looked_up(platform, answer(chunks=chunks, text=text)).is_stored


def test_a_passage_whose_text_was_changed_does_not_hold(platform: Platform) -> None:
    changed = answer(text="The dome opens at dusk. It never closes.")
    assert not looked_up(platform, changed).is_stored


def test_a_claim_that_the_quote_does_not_make_does_not_hold(platform: Platform) -> None:
    checked = looked_up(platform, answer("The dome opens at noon [1]."))
    assert checked.is_stored
    assert not checked.holds


def test_a_passage_that_was_not_sent_cannot_be_looked_up(platform: Platform) -> None:
    with pytest.raises(LookupError):
        looked_up(platform, answer(), Citation(2, 0, 22, 0, 23))


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho out of luck >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(CannotStartError, match="out of luck"), local_server():
        pytest.fail("It served.")
    assert [path.name for path in tmp_path.iterdir()] == ["python"]


def test_the_handbook_is_found_in_a_checkout() -> None:
    folder = handbook()
    assert folder is not None
    assert {path.suffix for path in folder.iterdir()} >= {".pdf", ".docx", ".html", ".md"}


def test_without_the_handbook_the_demo_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "handbook", lambda: None)
    assert main(["demo"]) == 1
    assert "`make demo` in a clone" in capsys.readouterr().err
