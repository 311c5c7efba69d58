"""What holds for every command: usage, failures, start-up."""

from __future__ import annotations

import os
import subprocess
import sys

import groundwire_server.__main__ as entry
import pytest
from groundwire_server.cli import search
from groundwire_server.cli.arguments import COMMANDS, parser

from tests.unit.cli.conftest import Command, Platform

HEAVY = ("torch", "numpy", "pydantic", "pydantic_settings", "transformers", "uvloop")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["search"],
        ["search", "a", "b"],
        ["search", "q", "--top-k", "0"],
        ["search", "q", "--top-k", "-1"],
        ["search", "q", "--mode", "fuzzy"],
        ["search", "q", "--timeout", "soon"],
        ["search", "q", "--timeout", "0"],
        ["search", "q", "--timeout", "inf"],
        ["search", "q", "--coll", "x"],
        ["ingest"],
        ["collections", "create"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_2_and_say_what_is_right(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        entry.main(arguments)
    assert left.value.code == 2
    assert "usage: groundwire" in capsys.readouterr().err


def test_help_names_every_command() -> None:
    text = parser().format_help()
    for add in COMMANDS:
        assert f"    {add.__name__.removeprefix('_')}" in text


@pytest.mark.parametrize("name", [add.__name__.removeprefix("_") for add in COMMANDS])
def test_every_command_but_two_takes_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        entry.main([name, "--help"])
    assert ("--json" in capsys.readouterr().out) is (name not in ("serve", "demo"))


def test_without_a_server_one_sentence_says_how_to_start_one(
    command: Command, closed_port: int
) -> None:
    done = command("search", "dusk", "--server", f"127.0.0.1:{closed_port}")
    assert (done.code, done.out) == (1, "")
    assert f"`groundwire serve --listen 127.0.0.1:{closed_port}`" in done.err
    assert len(done.err.splitlines()) == 1


def test_what_the_server_refuses_is_said_in_its_words(command: Command) -> None:
    done = command("search", "dusk", "-c", "missing")
    assert (done.code, done.err) == (1, 'groundwire: there is no collection "missing"\n')


@pytest.mark.parametrize(
    "arguments", [["search"], ["ask"], ["collections", "create"]], ids=" ".join
)
def test_what_is_no_text_is_said_in_a_sentence(command: Command, arguments: list[str]) -> None:
    done = command(*arguments, os.fsdecode(b"x\xff"))
    assert done.code == 1
    assert done.err == "groundwire: what was given is not valid UTF-8: write it in that\n"


def test_a_tenant_that_no_server_takes_is_refused_by_its_flag(command: Command) -> None:
    done = command("search", "dusk", "--tenant", "é")
    assert done.code == 1
    assert done.err.startswith("groundwire: --tenant 'é' is not allowed: 1 to 128 characters")


@pytest.mark.parametrize(
    "arguments",
    [["search", "x", "-k"], ["ask", "x", "--top-k"], ["ask", "x", "--max-tokens"]],
    ids=" ".join,
)
@pytest.mark.parametrize("number", ["0", "-1", "1.5", str(2**31)])
def test_a_number_that_no_request_holds_is_refused_by_its_flag(
    command: Command, arguments: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command(*arguments, number)
    said = capsys.readouterr().err
    assert arguments[-1] in said.splitlines()[-1]
    assert f"'{number}' is not a whole number from 1 to 2,147,483,647" in said


def test_a_flag_goes_before_the_environment(
    command: Command, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDWIRE_SERVER", "127.0.0.1:1")
    assert command("search", "dusk", "--server", platform.address).code == 0


def test_flags_may_come_before_an_action(command: Command, platform: Platform) -> None:
    done = command("collections", "--server", platform.address, "create", "new")
    assert done.code == 0
    assert "new" in platform.library.collections


def test_an_interrupt_is_130_without_a_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "run", interrupted)
    done = command("search", "dusk")
    assert (done.code, done.err) == (130, "\n")


def test_a_reader_that_has_enough_is_no_reason_to_complain(platform: Platform) -> None:
    for number in range(5000):
        platform.library.collections[f"collection-{number:05}"] = 0
    script = f"{sys.executable} -m groundwire_server collections --json | head -n 1"
    done = subprocess.run(
        script,
        shell=True,
        capture_output=True,
        text=True,
        env={"GROUNDWIRE_SERVER": platform.address, "PATH": "/usr/bin:/bin"},
    )
    assert "collection-00000" in done.stdout
    assert done.stderr == ""


def test_the_bare_client_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry, "find_spec", lambda name: None)
    assert entry.main(["search", "dusk"]) == 1
    assert 'pip install "groundwire[server]"' in capsys.readouterr().err


def test_a_search_does_not_load_what_a_server_needs(platform: Platform) -> None:
    script = (
        "import sys\n"
        "from groundwire_server.__main__ import main\n"
        f"code = main(['search', 'dusk', '--server', '{platform.address}'])\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
