"""The Grafana board, the Prometheus rules and docs/metrics.md name what /metrics renders: all of it, nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service import metrics
from service.api.metric_families import FAMILIES, Facts
from service.api.metrics import render
from service.settings import load
from service.store.figures import Alerts, Figures

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/enlace.json").read_text())
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/enlace-alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
DOCUMENT = (ROOT / "docs/metrics.md").read_text()
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]
_NAME = re.compile(r"\b(?:enlace|process)_[a-z0-9_]+\b")
_SELECTOR = re.compile(r"\b((?:enlace|process)_[a-z0-9_]+)\{([^}]*)\}")
_OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus itself sets."""


@pytest.fixture
def text() -> str:
    """Every metric with a sample."""
    counters = metrics.Counters(shed={"in-flight": 1}, answers={"AA": 1}, received={"mercy": 1}, in_flight=1)
    counters.requests["read", "Patient", "5xx"] = 1
    counters.latency["read"] = metrics.Histogram(metrics.SECONDS)
    counters.jobs["adt.apply", "done"] = 1
    counters.job_latency["adt.apply"] = metrics.Histogram(metrics.SECONDS)
    counters.attempts["rest-hook", "ok"] = 1
    figures = Figures({("adt", "dead"): 1}, {"adt": 1}, {"failed": 1}, {"mercy": 1}, 1, 1, 1, 1)
    figures.subscriptions, figures.failing = {"active": 1}, [("s1", 2, 1)]
    figures.notices = {("email", "failed"): 1}
    figures.partners, figures.partner_referrals = {"failing": 1}, {"refused": 1}
    return render(Facts(counters, True, 2, figures, Alerts(1, 1, 1, 1))).decode()


def series(text: str) -> dict[str, set[str]]:
    """Name of each series -> its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def words(expression: str) -> str:
    """Without what stands in quotes."""
    return re.sub(r'"[^"]*"', '""', expression)


def test_board_and_rules_ask_for_what_is_rendered(text: str) -> None:
    rendered = series(text)
    assert len(EXPRESSIONS) > 40
    for expression in EXPRESSIONS:
        for name in _NAME.findall(words(expression)):
            assert name in rendered, f"{name} is not in /metrics: {expression}"
        for name, selector in _SELECTOR.findall(expression):
            labels = set(re.findall(r"(\w+)\s*[=!]", words(selector)))
            assert labels <= rendered[name] | _OF_PROMETHEUS, f"{name} has no label {labels}: {expression}"
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            known = set().union(*(rendered[name] for name in _NAME.findall(words(expression)) if name in rendered))
            assert {label.strip() for label in grouped.split(",")} <= known | _OF_PROMETHEUS, expression


def test_the_board_shows_every_metric_of_ours(text: str) -> None:
    """Or nobody would look at it: what is on no panel and in no rule may go."""
    shown = {name for expression in EXPRESSIONS for name in _NAME.findall(words(expression))}
    for family in FAMILIES:
        assert any(name == family.name or name.startswith(f"{family.name}_") for name in shown), family.name


def test_the_document_has_each_metric_with_its_labels_and_meaning(text: str) -> None:
    rows = re.findall(r"^\| `((?:enlace|process)_\w+)` \| (\w+) \| (.*?) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    documented = {name: (kind, labels.strip(), meaning) for name, kind, labels, meaning in rows}
    assert len(documented) == len(rows), "a metric is documented twice"
    kinds = {f.name + "_total" * (f.type == "counter"): f.type for f in text_string_to_metric_families(text)}
    assert {name: kind for name, (kind, _, _) in documented.items()} == kinds
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        assert documented[family.name] == (family.kind, labels, family.help)
        assert family.help.endswith(".")


def test_the_board_can_be_imported() -> None:
    """Unique numbers, panels inside the grid that do not overlap, one data source that is asked for."""
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert all(0 <= x < 24 for x, _ in cells) and not cells & taken, panel["title"]
        taken |= cells
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    for panel in PANELS:
        assert panel["description"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert [target["datasource"]["uid"] for target in panel["targets"]] == ["${datasource}"] * len(panel["targets"])
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows[1:] == [
        "Requests",
        "Latency",
        "Queue",
        "Feeds",
        "Alerts to lead care managers",
        "Store",
        "Backup",
        "Subscriptions",
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    runbook = rule["annotations"]["runbook"]
    assert runbook.endswith(".") and len(runbook) > 60
    commands = set(re.findall(r"`enlace ([a-z-]+)", runbook))
    assert commands <= _verbs(), commands - _verbs()


def test_the_limits_are_those_of_the_settings() -> None:
    settings = load({})
    by_name = {rule["alert"]: rule["expr"] for rule in RULES}
    assert f"> {settings.feed_silence_hours} * 3600" in by_name["EnlaceFeedSilent"]
    assert f"> {settings.backup_age_hours} * 3600" in by_name["EnlaceBackupOld"]


def _verbs() -> set[str]:
    import typer.main

    from service.cli import app

    return {*typer.main.get_command(app).commands, "doctor"}  # type: ignore[attr-defined]
