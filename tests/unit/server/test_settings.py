from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from groundwire_server.serve import print_settings
from groundwire_server.settings import Settings
from groundwire_server.settings_environment import ignored
from groundwire_server.settings_masking import shown
from groundwire_server.settings_report import as_markdown
from groundwire_server.settings_sources import BadSettingsError, Loaded, Origin, load, parser

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("GROUNDWIRE_"):
            monkeypatch.delenv(name)


def loaded(*argv: str) -> Loaded:
    return load(parser("serve"), argv)


def problems(*argv: str) -> tuple[str, ...]:
    with pytest.raises(BadSettingsError) as error:
        loaded(*argv)
    return error.value.problems


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "groundwire.toml"
    path.write_text(text)
    return str(path)


def test_flag_beats_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(tmp_path, "max_tokens = 1\nchunk_tokens = 100\ngrounding_tokens = 200")
    monkeypatch.setenv("GROUNDWIRE_MAX_TOKENS", "2")
    monkeypatch.setenv("GROUNDWIRE_CHUNK_TOKENS", "101")
    found = loaded("--config", file, "--max-tokens", "3")
    assert found.settings.max_tokens == 3
    assert found.settings.chunk_tokens == 101
    assert found.settings.grounding_tokens == 200
    assert found.settings.max_concurrent_calls == 1024
    names = ("max_tokens", "chunk_tokens", "grounding_tokens", "max_concurrent_calls")
    assert [found.origins[name] for name in names] == list(Origin)


def test_the_file_may_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDWIRE_CONFIG", config(tmp_path, "insecure = true"))
    assert loaded().settings.insecure


def test_a_switch_is_a_flag_without_a_value() -> None:
    assert loaded("--insecure").settings.insecure
    assert not loaded("--no-insecure").settings.insecure


@pytest.mark.parametrize(
    "arguments", [("--vllm-args", '{"max_model_len": 64}'), ("--vllm-args", "max_model_len=64")]
)
def test_a_mapping_is_json_or_pairs(arguments: tuple[str, str]) -> None:
    (value,) = loaded(*arguments).settings.vllm_args.values()
    assert int(value) == 64


@pytest.mark.parametrize("value", ["auto", "off", "0", "0,1"])
def test_gpus_are_named_by_number_or_by_a_word(value: str) -> None:
    assert loaded("--index-gpu", value).settings.index_gpu == value


@pytest.mark.parametrize("value", ["", "gpu", "0,", "0, 1", "-1", "0,0", "auto,1"])
def test_what_names_no_gpus_is_refused(value: str) -> None:
    (problem,) = problems("--index-gpu", value)
    assert "numbers of GPUs" in problem or "twice" in problem


def test_a_mapping_is_not_mixed_from_two_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDWIRE_VLLM_ARGS", '{"a": 1}')
    file = config(tmp_path, "[vllm_args]\nb = 2")
    assert loaded("--config", file).settings.vllm_args == {"a": 1}


def test_a_variable_that_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDWIRE_READY_FILE", "")
    monkeypatch.setenv("GROUNDWIRE_CHUNK_TOKENS", "")
    assert loaded().settings == Settings()


def test_each_wrong_value_is_one_sentence_that_says_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(tmp_path, 'max_tokens = "many"')
    monkeypatch.setenv("GROUNDWIRE_CHUNK_TOKENS", "3")
    flag, in_file, env = problems("--config", file, "--listen", "50051")
    assert flag == "--listen: 50051 is not allowed: must be HOST:PORT, e.g. 127.0.0.1:50051"
    assert env.startswith("GROUNDWIRE_CHUNK_TOKENS: 3 is not allowed: input should be greater")
    assert in_file.startswith(f"max_tokens in {file}: many is not allowed: input should be a valid")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--chunk-token", "3"], "unrecognized arguments: --chunk-token"),
        (["--max-tokens"], "argument --max-tokens: expected one argument"),
        (["--config", "/nowhere/x.toml"], "--config /nowhere/x.toml: cannot be read: No such file"),
        (["--chunk-overlap-tokens", "192"], "chunk_overlap_tokens (192) must be less than chunk_"),
        (["--listen", "::1:50051"], "an IPv6 address needs brackets"),
        (["--listen", "127.0.0.1:70000"], '"70000" is not a port'),
        (["--metrics-listen", "none"], "must be HOST:PORT"),
        (["--redis-url", "localhost:6379"], "must start with redis://"),
    ],
)
def test_what_is_wrong_is_said(argv: list[str], sentence: str) -> None:
    (problem,) = problems(*argv)
    assert sentence in problem


def test_an_unknown_key_of_the_file_is_refused_with_a_guess(tmp_path: Path) -> None:
    file = config(tmp_path, "max_token = 5")
    assert problems("--config", file) == (
        f'{file}: there is no setting "max_token"; did you mean "max_tokens"?',
    )


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("GROUNDWIRE_DATA_DRI", "GROUNDWIRE_DATA_DIR"),
        ("GROUNDWIRE_DATADIR", "GROUNDWIRE_DATA_DIR"),
        ("groundwire_chunk_token", "GROUNDWIRE_CHUNK_TOKENS"),
        ("GROUNDWIRE_VLLM_MODLE", "GROUNDWIRE_VLLM_MODEL"),
        ("GROUNDWIRE_CONFG", "GROUNDWIRE_CONFIG"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "x")
    assert problems() == (f"{variable}: there is no such setting; did you mean {meant}?",)
    monkeypatch.setenv(variable, "")
    assert loaded().settings == Settings()


# Of Kubernetes for services named groundwire and groundwire-redis, and of these tests.
OTHERS = [
    "GROUNDWIRE_PORT",
    "GROUNDWIRE_PORT_50051_TCP_ADDR",
    "GROUNDWIRE_REDIS_PORT",
    "GROUNDWIRE_REDIS_SERVICE_HOST",
    "GROUNDWIRE_REQUIRE_VLLM",
    "GROUNDWIRE_SERVICE_HOST",
    "GROUNDWIRE_SERVICE_PORT_GRPC",
    "GROUNDWIRE_TEST_KILLS",
]


def test_variables_that_others_set_are_ignored_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OTHERS, "GROUNDWIRE_SERVER", "GROUNDWIRE_MAX_TOKENS", "GROUNDWIRE"):
        monkeypatch.setenv(name, "7")
    assert loaded().settings == Settings(max_tokens=7)
    assert set(ignored()) == set(OTHERS)


@pytest.mark.parametrize("text", ["not toml", b"\xff"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "groundwire.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "is not TOML" in problems("--config", str(path))[0]


def test_a_variable_that_is_not_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value is not told, which may hold a key."""
    monkeypatch.setenv("GROUNDWIRE_MODELS", '{"a": {"api_key": "sk-hunter2",}}')
    (problem,) = problems()
    assert problem.startswith("GROUNDWIRE_MODELS: is not JSON: ")
    assert "column 32" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--openai-url", "host:8000"], "must start with http://"),
        (["--openai-url", "http://host/v1"], "openai_model is needed"),
        (["--openai-model", "m"], "only for an openai_url"),
        (["--openai-url", "http://h", "--openai-model", "extractive"], "openai_name must not be"),
        (
            ["--openai-url", "http://h", "--openai-model", "m", "--vllm-model", "/models/m"],
            'vllm_name must not be "m"',
        ),
        (["--openai-silence-s", "0"], "greater than 0"),
        (["--models", '{"extractive": {"source": "m"}}'], "a key of models must not be"),
        (["--models", '{"m": {"source": "x"}}', "--vllm-model", "m"], 'vllm_name must not be "m"'),
        (
            ["--vllm-model", "m", "--vllm-adapters", '{"m": "/a"}'],
            'a key of adapters must not be "m"',
        ),
        (
            [
                "--models",
                '{"m": {"engine": "openai", "url": "http://h", "source": "x", '
                '"adapters": {"a": "/a"}}}',
            ],
            "adapters: not for engine openai",
        ),
        (["--models", '{"a b": {"source": "x"}}'], "no white space"),
        (["--models", '{"m": {}}'], "source is needed"),
        (["--models", '{"m": {"preset": "phi-4"}}'], "m.preset: phi-4 is not allowed: must be one"),
        (["--models", '{"m": {"sauce": "x"}}'], "m.sauce: there is no such key"),
        (["--models", '{"m": {"source": "x", "gpus": "0,,1"}}'], "m.gpus: 0,,1 is not allowed"),
        (["--models", '{"m": {"source": "x", "url": "http://h"}}'], "url: not for engine vllm"),
        (["--models", '{"m": {"engine": "openai", "source": "x"}}'], "url is needed"),
        (["--models", '{"m": {"engine": "gpt", "source": "x"}}'], "'vllm' or 'openai'"),
        (["--routes", '{"r": {"weights": {}}}'], "r.weights: {} is not allowed"),
        (["--routes", '{"r": {"weights": {"extractive": 0}}}'], "greater than 0"),
        (["--routes", '{"r": {"weights": {"m": 1}}}'], '"r" leads to "m", which is no model'),
        (["--routes", '{"extractive": {"weights": {"extractive": 1}}}'], "a key of routes must"),
        (["--embedder-url", "host:8000"], "must start with http://"),
        (["--embedder-url", "http://u:p@host"], "must hold no password"),
        (["--embedder-tokenizer", "t.json"], "only for an embedder_url"),
        (["--embedder-url", "http://h", "--embedder-runtime", "vllm"], "not for an embedder_url"),
        (["--embedder-vllm-args", '{"a": 1}'], "only for embedder_runtime vllm"),
    ],
)
def test_a_model_is_described_whole_and_has_a_name_of_its_own(flags: list[str], why: str) -> None:
    assert any(why in problem for problem in problems(*flags))


def test_a_password_is_never_shown() -> None:
    (problem,) = problems("--redis-url", "http://user:hunter2@host")
    assert "hunter2" not in problem
    for url in ("redis://:hunter2@h:1/0", "redis://u:hunter2@h", "unix:///s?password=hunter2&db=1"):
        assert "hunter2" not in shown("redis_url", url)
    watched = "redis+sentinel://u:hunter2@h,g:1/talks?sentinel_password=hunter2"
    assert shown("redis_url", watched) == "redis+sentinel://u:***@h,g:1/talks?sentinel_password=***"
    assert shown("redis_url", "redis://u:hunter2@h:1/0") == "redis://u:***@h:1/0"
    assert shown("redis_url", "redis://host:6379/0") == "redis://host:6379/0"
    assert "hunter2" not in shown("vllm_args", {"hf_token": "hunter2"})
    assert shown("milvus_uri", "https://u:hunter2@host:19530/db") == "https://u:***@host:19530/db"
    assert shown("milvus_token", "root:hunter2") == "***"
    assert shown("milvus_token", "") == ""
    assert shown("openai_api_key", "sk-hunter2") == "***"
    assert shown("embedder_api_key", "sk-hunter2") == "***"
    assert shown("embedder_tokenizer", "models/tokenizer.json") == "models/tokenizer.json"
    (problem,) = problems("--openai-url", "https://u:hunter2@host/v1")
    assert "hunter2" not in problem
    far = '"engine": "openai", "source": "m", "api_key": "hunter2"'
    assert "a setting for the key" in problem
    given = loaded("--models", f'{{"m": {{{far}, "url": "http://h"}}}}')
    assert "hunter2" not in shown("models", given.settings.models)
    for wrong in ('"url": "http://u:hunter2@h"', '"args": {"hf_token": "hunter2"}'):
        (problem,) = problems("--models", f'{{"m": {{{far}, {wrong}}}}}')
        assert "hunter2" not in problem
    (problem,) = problems("--openai-url", "http://host/v1", "--openai-api-key", "hunter2 ä")
    assert "hunter2" not in problem


def test_settings_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROUNDWIRE_REDIS_URL", "redis://:hunter2@host")
    assert print_settings(["--json", "--data-dir", str(tmp_path)]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(Settings.model_fields)
    assert rows["data_dir"] == {
        "name": "data_dir",
        "flag": "--data-dir",
        "env": "GROUNDWIRE_DATA_DIR",
        "value": str(tmp_path),
        "default": "groundwire-data",
        "origin": "flag",
        "description": "Folder for everything that is stored.",
    }
    assert rows["redis_url"]["origin"] == "env"
    assert print_settings([]) == 0
    listed = capsys.readouterr().out
    assert "redis_url = redis://:***@host (env; default empty)" in listed
    assert "hunter2" not in listed
    remote = ["--openai-url", "http://host/v1", "--openai-model", "m"]
    monkeypatch.setenv("GROUNDWIRE_OPENAI_API_KEY", "hunter2")
    assert print_settings(remote) == 0
    listed = capsys.readouterr().out
    assert "openai_api_key = *** (env; default empty)" in listed
    assert "hunter2" not in listed


def test_wrong_settings_end_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_settings(["--max-tokens", "0", "--listen", "x"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("groundwire: --listen: ")
    assert second.startswith("groundwire: --max-tokens: ")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".") or "e.g." in description


def test_the_documentation_lists_the_settings_as_they_are() -> None:
    """`groundwire settings --markdown > docs/settings.md` brings it up to date."""
    assert (ROOT / "docs" / "settings.md").read_text() == as_markdown()
