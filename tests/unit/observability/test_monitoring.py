"""The rules and the dashboard ask for metrics and labels that there are, and hold what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.unit.observability.exported import registry

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "groundwire.rules.yml"
RULES_TEST = DEPLOY / "prometheus" / "groundwire.rules.test.yml"
DASHBOARD = DEPLOY / "grafana" / "groundwire.json"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

# What Prometheus adds when it scrapes.
TARGET = {"instance", "job"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if "targets" in panel]


def shown() -> list[str]:
    """What the dashboard asks, with an interval as Grafana would put it in."""
    return [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in panels()
        for target in panel["targets"]
    ]


def selectors(expression: str) -> Iterator[Any]:
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return iter(found)


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """The labels of every series that a server has, by its name."""
    labels: dict[str, set[str]] = {}
    found = registry()
    for family in found.collect():
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    # Some series come with the first event: these have the labels that were declared.
    for collector, names in found._collector_to_names.items():
        for name in names:
            labels.setdefault(name, set()).update(getattr(collector, "_labelnames", ()))
    for histogram in [name for name in labels if name.endswith("_bucket")]:
        labels[histogram].add("le")
    return labels


def asked() -> list[str]:
    return [*(rule["expr"] for rule in rules()), *shown()]


@pytest.mark.parametrize("expression", asked())
def test_every_metric_that_is_asked_for_is_exported_with_these_labels(
    expression: str, exported: dict[str, set[str]]
) -> None:
    recorded = {rule["record"]: {"model", "phase"} for rule in rules() if "record" in rule}
    there = exported | recorded
    for selector in selectors(expression):
        assert selector.name in there
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= there[selector.name] | TARGET


def test_the_dashboard_shows_every_metric_of_ours(exported: dict[str, set[str]]) -> None:
    names = {
        re.sub(r"_(bucket|sum|count|created)$", "", name)
        for name in exported
        if name.startswith("groundwire_")
    }
    created = {name for name in names if f"{name}_total" in names}
    text = DASHBOARD.read_text()
    assert [name for name in names - created if name not in text] == []


def test_every_alert_says_how_bad_it_is_and_what_is_the_matter() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]


def test_every_alert_is_documented() -> None:
    text = (DEPLOY.parent / "docs" / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(Groundwire\w+)`", text, re.MULTILINE)) == {
        rule["alert"] for rule in rules() if "alert" in rule
    }


def test_every_alert_and_every_target_is_tested() -> None:
    text = RULES_TEST.read_text()
    named = [rule.get("alert") or rule["record"] for rule in rules()]
    assert [name for name in named if name not in text and not _is_plain(name)] == []


def _is_plain(name: str) -> bool:
    """A rate or a quantile, of which one is tested for all."""
    return re.search(r":(rate5m|p50|p95|ratio5m)$", name) is not None


def test_panels_do_not_overlap() -> None:
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels()
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)


@needs_promtool
def test_the_rules_do_what_their_tests_say() -> None:
    assert PROMTOOL is not None
    for arguments in (["check", "rules", RULES], ["test", "rules", RULES_TEST]):
        done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
