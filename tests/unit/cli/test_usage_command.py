"""`groundwire usage`: a table for people, lines for programs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.cli.conftest import Command, Platform


def test_every_page_is_in_one_table(command: Command) -> None:
    done = command("usage")
    heading, ada, others = done.out.splitlines()
    assert done.code == 0
    assert heading.split()[:3] == ["Date", "Subject", "Model"]
    assert ada.split()[:7] == ["2026-01-30", "ada", "phi", "1,200", "3", "19,806", "2,411"]
    assert ada.split()[7:] == ["1.42", "s", "15", "ms", "81%", "23"]
    assert others.split() == ["2026-01-30", "others", "-", "1", "0", "0", "0", "0"]


def test_programs_get_a_line_for_each_row(command: Command) -> None:
    ada, others = command("usage", "--json").lines
    assert (ada["date"], ada["subject"], ada["model"]) == ("2026-01-30", "ada", "phi")
    assert (ada["average_latency_s"], ada["p95_latency_s"]) == (1.42, 0.015)
    assert (others["subject"], others["other_subjects"], others["p95_latency_s"]) == (
        "",
        True,
        None,
    )


def test_it_can_be_of_one_subject_and_model_and_of_some_days(
    command: Command, platform: Platform
) -> None:
    arguments = ("--of", "ada", "--model", "phi", "--since", "2026-01-30", "--until", "2026-01-31")
    assert command("usage", *arguments).code == 0
    asked = platform.admin.asked[0]
    assert (asked.subject, asked.model) == ("ada", "phi")
    assert asked.start_time.ToDatetime(UTC) == datetime(2026, 1, 30, tzinfo=UTC)
    # The last day is part of it.
    assert asked.end_time.ToDatetime(UTC) == datetime(2026, 2, 1, tzinfo=UTC)


def test_where_nothing_was_used_it_says_so(command: Command, platform: Platform) -> None:
    platform.admin.days = []
    assert command("usage").out == "Nothing was used on these days.\n"


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "9999-12-31", "2026-1-1"])
def test_what_is_no_day_is_refused(command: Command, day: str) -> None:
    with pytest.raises(SystemExit) as left:
        command("usage", "--since", day)
    assert left.value.code == 2
