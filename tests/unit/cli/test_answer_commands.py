"""`groundwire search`, `ask` and `chat`: what people and programs see."""

from __future__ import annotations

import io

import pytest
from groundwire import Generation
from groundwire_server.cli import chat

from tests.unit.cli.conftest import Command, Platform
from tests.unit.cli.library import TEXT


def test_a_hit_says_where_it_is_from(command: Command, platform: Platform) -> None:
    done = command("search", "dusk", "-k", "3", "--mode", "lexical")
    assert done.code == 0
    assert "1 guide.pdf, page 3, Domes / Hours" in done.out
    assert f"    {TEXT}\n" in done.out
    (sent,) = platform.library.searches
    assert (sent.text, sent.top_k, sent.mode) == ("dusk", 3, 2)


def test_hits_for_programs_are_one_line_of_json(command: Command) -> None:
    (result,) = command("search", "dusk", "--json").lines
    assert result["hits"][0]["record"]["document_id"] == "guide.pdf"
    assert result["plan"]["strategy"] == "exact"


def test_nothing_found_is_said_and_is_no_failure(command: Command) -> None:
    done = command("search", "nothing")
    assert done.code == 0
    assert "Nothing found." in done.out


def test_an_answer_comes_with_its_sources_and_confidence(
    command: Command, platform: Platform
) -> None:
    done = command("ask", "When?")
    assert done.code == 0
    assert done.out.splitlines() == [
        "The dome opens at dusk [1].",
        "",
        "[1] guide.pdf, page 3",
        "    “The dome opens at dusk.”",
        "",
        "Confidence 90%",
    ]
    (sent,) = platform.oracle.requests
    assert sent.grounding.collection == "documents"
    assert not sent.grounding.HasField("top_k")


def test_an_answer_for_programs_quotes_what_it_cites(command: Command) -> None:
    (result,) = command("ask", "When?", "--json").lines
    assert result["answer"] == "The dome opens at dusk [1]."
    assert result["citations"][0]["quote"] == "The dome opens at dusk."
    assert result["passages"][0]["page"] == 3
    assert result["finished"]["finish_reason"] == "stop"


def test_no_answer_in_the_documents_is_said(command: Command) -> None:
    done = command("ask", "unknown")
    assert done.code == 0
    assert done.out.startswith("The documents hold no answer")


def test_an_answer_that_breaks_off_is_a_failure(command: Command) -> None:
    done = command("ask", "break")
    assert (done.code, done.out, done.err) == (1, "", "groundwire: the engine is down\n")


def test_a_model_can_be_asked_without_documents(command: Command, platform: Platform) -> None:
    command("ask", "Hi", "--no-sources", "--model", "m", "--max-tokens", "9")
    (sent,) = platform.oracle.requests
    assert not sent.HasField("grounding")
    assert (sent.model, sent.sampling.max_tokens) == ("m", 9)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """Puts lines on standard input, as from a pipe."""
    return lambda *lines: monkeypatch.setattr(
        "sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines))
    )


def test_lines_from_a_pipe_are_answered_in_one_session(
    command: Command, platform: Platform, typed
) -> None:
    typed("When?", "", "And then?")
    done = command("chat")
    assert done.code == 0
    assert done.out.count("The dome opens at dusk [1].") == 2
    assert [sent.session_id for sent in platform.oracle.requests] == ["s1", "s1"]
    assert ">" not in done.out


def test_a_session_can_be_continued(command: Command, platform: Platform, typed) -> None:
    typed("When?")
    command("chat", "--session", "earlier")
    assert platform.oracle.requests[0].session_id == "earlier"
    assert platform.sessions.made == 0


def test_a_session_that_is_not_there_is_a_failure(command: Command, typed) -> None:
    typed("When?")
    done = command("chat", "--session", "missing")
    assert (done.code, done.err) == (1, 'groundwire: there is no session "missing"\n')


def test_commands_within_a_chat(command: Command, typed) -> None:
    typed("/sources", "When?", "/sources", "/help", "/dance", "/quit", "never asked")
    done = command("chat")
    assert "nothing has been cited yet" in done.out
    assert "    “The dome opens at dusk.”" in done.out
    assert "/sources        the passages" in done.out
    assert "There is no /dance" in done.out
    assert done.out.count("[1].") == 1


def test_a_chat_goes_on_after_a_failure_and_says_so_at_the_end(command: Command, typed) -> None:
    typed("break", "When?")
    done = command("chat")
    assert done.code == 1
    assert "the engine is down" in done.err
    assert "The dome opens at dusk" in done.out


def test_a_chat_for_programs_is_one_line_for_each_answer(command: Command, typed) -> None:
    typed("When?", "And then?")
    first, second = command("chat", "--json").lines
    assert (first["session"], first["question"]) == ("s1", "When?")
    assert second["question"] == "And then?"


def test_an_answer_that_is_stopped_in_a_chat_is_ended_on_the_server(
    command: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(["When?", "/quit"])

    def stopped(answer: Generation, _: object) -> None:
        next(iter(answer))
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(chat, "stream", stopped)
    done = command("chat")
    assert (done.code, "this exchange is not kept" in done.out) == (0, True)
    assert platform.admin.aborted == [platform.oracle.requests[0].request_id]


class Terminal(io.StringIO):
    """Somebody sits before it."""

    def isatty(self) -> bool:
        return True
