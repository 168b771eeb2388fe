"""The alert rules, the dashboard and docs/metrics.md: all that they name is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from unit.test_documented_commands import wrong
from unit.told_figures import everything

from lbkit.checks.registry import Registry
from lbkit.metrics.failures import MOST
from lbkit.metrics.page import METRICS, page
from lbkit.site.load import load_site

ROOT = Path(__file__).parent.parent.parent
RULES = (ROOT / "packaging/prometheus/lbkit.rules.yml").read_text()
RULES_TEST = (ROOT / "packaging/prometheus/lbkit.rules.test.yml").read_text()
BOARD = json.loads((ROOT / "packaging/grafana/lbkit.json").read_text())
DOCS = (ROOT / "docs/metrics.md").read_text()
ALERTS = re.findall(r"^      - alert: (\w+)$", RULES, re.M)
OF_PROMETHEUS = {"instance", "job"}  # labels that it adds


EXPRESSIONS = [
    *re.findall(r"^        expr: (.*)$", RULES, re.M),
    *(target["expr"] for panel in BOARD["panels"] for target in panel["targets"]),
]


@pytest.fixture
def series(tmp_path):
    """{metric: {label: values}} of a page with everything in it."""
    found = {}
    for name, labels in re.findall(r"^(lbkit\w+)(?:\{(.*)\})? ", "".join(page(everything(tmp_path))), re.M):
        of_metric = found.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            of_metric.setdefault(label, set()).add(value)
    return found


def test_there_are_expressions_for_all_that_is_promised():
    assert len(ALERTS) == len(re.findall(r"^        expr: ", RULES, re.M)) >= 10
    assert len(EXPRESSIONS) >= len(ALERTS) + 8


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_series_that_can_be(expression, series):
    selected = re.findall(r"\b(lbkit_\w+)(?:\{(.*?)\})?", expression)
    assert selected or "up{job=" in expression
    for metric, matchers in selected:
        assert metric in series
        for label, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers):
            assert label in series[metric].keys() | OF_PROMETHEUS
            if label not in OF_PROMETHEUS and not value.startswith("$"):
                assert set(value.split("|")) <= series[metric][label], f"{label} of {metric} {operator} {value}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_an_expression_groups_by_are_labels_of_it(expression, series):
    known = set().union(*(series[metric] for metric in re.findall(r"\blbkit_\w+", expression))) | OF_PROMETHEUS
    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert set(re.split(", *", labels)) <= known


@pytest.mark.parametrize("legend", [t["legendFormat"] for panel in BOARD["panels"] for t in panel["targets"]])
def test_a_legend_names_labels(legend, series):
    known = set().union(*series.values()) | OF_PROMETHEUS
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= known


def test_what_an_alert_says_names_labels(series):
    known = set().union(*series.values()) | OF_PROMETHEUS
    assert set(re.findall(r"\$labels\.(\w+)", RULES)) <= known


def test_each_alert_has_a_severity_a_summary_and_a_command_that_can_be_typed():
    rules = re.split(r"^      - alert: ", RULES, flags=re.M)[1:]
    for rule in rules:
        assert re.search(r"^        labels: \{severity: (warning|critical)\}$", rule, re.M)
        assert re.search(r'^          summary: ".+"$', rule, re.M)
        (runbook,) = re.findall(r"^          runbook: (.+)$", rule, re.M)
        if runbook != "systemctl status lbkit-agent":
            assert runbook.startswith("lbkit ")
            assert wrong(re.sub(r"\{\{.*?\}\}", "LABEL", runbook).split()[1:]) == ""


def test_each_alert_is_played_by_the_rules_test_and_told_in_the_docs():
    assert set(re.findall(r"alertname: (\w+)", RULES_TEST)) == set(ALERTS)
    (table,) = re.findall(r"<!-- alerts -->(.*)<!-- /alerts -->", DOCS, re.S)
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == ALERTS


def test_the_docs_have_each_metric_as_the_page_has_it(series):
    (table,) = re.findall(r"<!-- metrics -->(.*)<!-- /metrics -->", DOCS, re.S)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    assert rows == [
        [f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in series[one.name]), one.meaning]
        for one in METRICS
    ]


def test_there_are_as_many_series_as_the_docs_say(tmp_path):
    lines = "".join(page(everything(tmp_path))).splitlines()
    of_vip = [line for line in lines if 'vip="FOUR"' in line and "server=" not in line]
    of_server = [line for line in lines if 'vip="SEVEN",server="c"' in line and "check=" not in line]
    of_check = [line for line in lines if 'server="b",check=' in line and "step_duration" not in line]
    assert (len(of_vip), len(of_server), len(of_check), MOST + 1) == (9, 9, 4, 9)
    said = "at most 9 for each VIP, 9 for each real server and 9 for the reasons of its failures, and for each of its"
    assert f"{said} checks 4 and one for each step." in " ".join(DOCS.split())


def test_the_site_file_of_the_docs_is_one(tmp_path):
    (shown,) = re.findall(r"```toml\n(.*?)```", DOCS, re.S)
    vip = 'label = "A"\naddress = "192.0.2.1"\nports = [443]\nmode = "l7-snat"\ncheck = { kind = "connect" }\n'
    (tmp_path / "site.toml").write_text(
        f'name = "S"\n{shown}\n[[vips]]\n{vip}servers = [{{ label = "a", address = "192.0.2.2" }}]\n'
    )
    metrics = load_site(tmp_path / "site.toml", Registry().models()).metrics
    assert f"http://127.0.0.1:{metrics.port}/metrics" in DOCS
    assert f"127.0.0.1:{metrics.port}" in re.findall(r"targets: (.*)", DOCS)[0]


# --- the dashboard ---


def test_the_dashboard_is_one_that_grafana_imports():
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= BOARD.keys()
    assert "id" not in BOARD  # Grafana gives it one
    assert 8 <= len(BOARD["panels"]) <= 14
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for panel in BOARD["panels"]:
        assert panel["title"]
        assert {one["datasource"]["uid"] for one in (panel, *panel["targets"])} == {"${datasource}"}


def test_no_panel_lies_over_another_or_beyond_the_edge():
    taken = set()
    for place in (panel["gridPos"] for panel in BOARD["panels"]):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_what_both_nodes_of_a_pair_see_is_counted_once():
    counts = [panel["targets"][0]["expr"] for panel in BOARD["panels"] if panel["type"] == "stat"]
    assert [expression for expression in counts if re.match(r"sum\(lbkit_(vip|server)_", expression)] == []
    events = next(expression for expression in EXPRESSIONS if "lbkit_events_total" in expression)
    assert events.startswith("max by (kind) (")


def test_each_variable_of_the_dashboard_is_asked_for_what_there_is(series):
    variables = {one["name"]: one for one in BOARD["templating"]["list"]}
    used = {name for expression in EXPRESSIONS for name in re.findall(r"\$(\w+)", expression)}
    assert used - {"__rate_interval"} <= variables.keys()
    for one in variables.values():
        if one["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["definition"]).groups()
            assert label in series[metric].keys() | OF_PROMETHEUS
