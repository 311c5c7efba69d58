"""`groundwire eval retrieval` against a whole server."""

from __future__ import annotations

import json
from pathlib import Path

import groundwire
import pytest

from tests.e2e.serving import ServerProcess
from tests.e2e.test_cli_and_client import groundwire_command, lines

TEXTS = {
    "dome": "The dome is closed when the wind is strong.",
    "fee": "Adults pay nine crowns at the entrance.",
    "tank": "Liquid nitrogen is filled into the tank every morning.",
}
QUESTIONS = {"dome": "closed dome", "fee": "entrance crowns", "tank": "nitrogen tank"}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    def jsonl(name: str, texts: dict[str, str]) -> None:
        rows = (json.dumps({"_id": key, "text": text}) for key, text in texts.items())
        (tmp_path / name).write_text("\n".join(rows))

    jsonl("corpus.jsonl", TEXTS)
    jsonl("queries.jsonl", QUESTIONS)
    (tmp_path / "qrels.tsv").write_text("".join(f"{key}\t{key}\t1\n" for key in TEXTS))
    return tmp_path


def collections(server: ServerProcess) -> set[str]:
    with groundwire.Client(server.address) as client:
        return {one.name for one in client.retrieve.list_collections()}


def test_every_mode_is_measured_and_nothing_stays(server: ServerProcess, dataset: Path) -> None:
    before = collections(server)
    (result,) = lines(groundwire_command(server, "eval", "retrieval", dataset, "--json"))
    assert (result["documents"], result["queries"]) == (3, 3)
    assert [one["mode"] for one in result["modes"]] == ["dense", "lexical", "hybrid"]
    for one in result["modes"]:
        assert (one["ndcg_at_10"], one["recall_at_100"], one["mrr_at_10"]) == (1.0, 1.0, 1.0)
        assert 0 < one["p50_s"] <= one["p95_s"]
    assert collections(server) <= before


def test_what_is_judged_wrong_costs(server: ServerProcess, dataset: Path) -> None:
    (dataset / "qrels.tsv").write_text("dome\tfee\t1\nfee\tfee\t1\ntank\tabsent\t1\n")
    done = groundwire_command(server, "eval", "retrieval", dataset)
    assert done.returncode == 0, done.stderr
    assert "3 documents, 3 queries" in done.stdout
    assert "1 judgements of documents that are not there" in done.stdout
    (lexical,) = (line for line in done.stdout.splitlines() if "lexical" in line)
    assert lexical.split()[1:4] == ["0.3333", "0.3333", "0.3333"]


def test_a_bad_dataset_is_said_before_anything_is_stored(
    server: ServerProcess, dataset: Path
) -> None:
    (dataset / "queries.jsonl").write_text("{}")
    done = groundwire_command(server, "eval", "retrieval", dataset)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f'groundwire: {dataset / "queries.jsonl"}, line 1: "_id" is missing\n')


def test_the_collection_goes_when_a_write_is_refused(server: ServerProcess, dataset: Path) -> None:
    rows = [{"_id": "a", "text": "sound"}, {"_id": "b" * 600, "text": "an id that is too long"}]
    (dataset / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    before = collections(server)
    done = groundwire_command(server, "eval", "retrieval", dataset)
    assert done.returncode == 1
    assert "records[1].id" in done.stderr
    assert collections(server) <= before
