"""`groundwire sessions`, and what a chat does with its own."""

from __future__ import annotations

import io

import pytest

from tests.unit.cli.conftest import Command, Platform


def test_they_are_listed(command: Command) -> None:
    done = command("sessions", "list")
    assert done.code == 0
    assert "earlier" in done.out
    assert "First light" in done.out
    assert "earlier at 2" in done.out
    assert "3 more were removed" in done.out


def test_they_are_listed_for_programs_one_to_a_line(command: Command) -> None:
    lines = command("sessions", "list", "--json").lines
    assert [line["id"] for line in lines] == ["branch", "earlier"]
    assert lines[0]["parent"] == {"session_id": "earlier", "turn": 2}


def test_an_empty_list_says_how_to_begin(command: Command, platform: Platform) -> None:
    platform.sessions.stored.clear()
    assert "groundwire chat" in command("sessions", "list").out


def test_one_is_shown_with_its_turns_and_forks(command: Command) -> None:
    done = command("sessions", "show", "earlier")
    assert "1 user" in done.out
    assert "When does it open?" in done.out
    assert "2 assistant small" in done.out
    assert "at 2 branch" in done.out
    shown = command("sessions", "show", "earlier", "--json").lines[0]
    assert shown["session"]["id"] == "earlier"
    assert [turn["content"] for turn in shown["turns"]] == ["When does it open?", "At dusk."]
    assert shown["turns"][1]["answer"]["model"] == "small"
    assert [fork["id"] for fork in shown["forks"]] == ["branch"]


def test_a_thread_is_shown_as_a_tree(command: Command) -> None:
    first, second = command("sessions", "show", "branch", "--thread").out.splitlines()
    assert first.startswith("earlier “First light”")
    assert "at 2 branch" in second
    lines = command("sessions", "show", "branch", "--thread", "--json").lines
    assert [line["id"] for line in lines] == ["earlier", "branch"]


def test_one_is_forked_at_its_head_unless_told_otherwise(
    command: Command, platform: Platform
) -> None:
    done = command("sessions", "fork", "earlier", "--new-id", "mine", "--title", "Else")
    assert (done.code, done.out) == (0, "Forked earlier at turn 2: mine.\n")
    (asked,) = platform.sessions.forked
    assert (asked.session_id, asked.at_turn, asked.title) == ("earlier", 2, "Else")
    assert command("sessions", "fork", "earlier", "--at", "1", "--json").lines[0]["head"] == 1
    failed = command("sessions", "fork", "missing")
    assert (failed.code, failed.err) == (1, 'groundwire: there is no session "missing"\n')


@pytest.mark.parametrize("turn", ["0", "-1", "x"])
def test_a_turn_that_is_none_is_refused(command: Command, turn: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command("sessions", "fork", "earlier", "--at", turn)
    assert ended.value.code == 2


def test_some_are_deleted_when_told_twice(
    command: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    refused = command("sessions", "delete", "branch")
    assert refused.code == 1
    assert "--yes" in refused.err
    done = command("sessions", "delete", "branch", "earlier", "--yes")
    assert done.out == "Deleted branch with 2 turns.\nDeleted earlier with 2 turns.\n"
    assert platform.sessions.stored == {}


def test_what_one_adds_up_to_is_told(command: Command) -> None:
    done = command("sessions", "stats", "earlier")
    assert "1 by small" in done.out
    assert "1.50 s on average" in done.out
    assert "75% on average" in done.out
    stats = command("sessions", "stats", "earlier", "--json").lines[0]
    assert (stats["turns"], stats["average_latency_s"]) == (2, 1.5)


def test_a_chat_goes_on_in_a_fork(
    command: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "/stats",
        "/fork x",
        "/fork 0",
        "/fork 1",
        "When?",
        "/fork",
        "/fork 9",
        "And?",
        "/help",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    done = command("chat", "--session", "earlier")
    assert "1 by small" in done.out
    assert "x is no number of a turn" in done.out
    assert "There is no such turn" in done.out
    assert [(one.session_id, one.at_turn) for one in platform.sessions.forked] == [
        ("earlier", 1),
        ("fork1", 1),
    ]
    assert "no turn 9" in done.err
    assert [sent.session_id for sent in platform.oracle.requests] == ["fork1", "fork2"]
    assert "/fork [TURN]" in done.out


def test_a_chat_shows_what_a_model_sees(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("/context And then so?\n/context\n"))
    done = command("chat", "--session", "earlier")
    assert done.code == 0
    shown = [line.split() for line in done.out.splitlines()]
    assert ["summary", "1", "to", "40", "1,234"] in shown
    assert ["memories", "m1,", "m2", "9"] in shown
    assert ["question", "3"] in shown
    assert ["question", "0"] in shown
    assert ["turns", "1", "to", "38", "5", "no", "room"] in shown
    assert "1,250 of 4,096 tokens, of a session of 41 turns." in done.out
    assert "system: Summary: [so] it is." in done.out
