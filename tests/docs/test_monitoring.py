"""The dashboard, the alerts and the page about them name what is shown, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.docs.metrics import FAMILIES, SAMPLES
from tests.docs.pages import ROOT, page
from tests.observers.counted import busy
from twistedgate.observers import cells
from twistedgate.observers.exposition import Labels
from twistedgate.observers.families import families
from twistedgate.readings import VERSIONS, WORKER_STATES

DASHBOARD = ROOT / "contrib" / "grafana" / "twistedgate.json"
ALERTS = ROOT / "contrib" / "prometheus" / "alerts.yml"

_NAME = re.compile(r"\b(?:twistedgate|process)_[a-z_]+\b")
_SELECTOR = re.compile(r'\b(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")

LABELS = {
    *("route", "method", "status", "reason", "limit", "upstream", "target", "outcome", "result", "state"),
    *("le", "job", "instance", *VERSIONS),
}
"""Those of the samples, of buckets, and those that Prometheus adds."""

VALUES = {
    "reason": cells.REASONS,
    "limit": cells.LIMITS,
    "outcome": (*cells.OUTCOMES, *cells.ENDS, *cells.TOLD),
    "result": cells.RESULTS,
    "state": WORKER_STATES,
    "method": cells.METHODS,
}


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def expressions() -> Iterator[str]:
    """Give every expression of the dashboard and of the alerts."""
    yield from _members(json.loads(DASHBOARD.read_text(encoding="utf-8")), {"expr", "definition"})
    text = ALERTS.read_text(encoding="utf-8")
    for line, block in re.findall(r"^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.+)$)", text, re.MULTILINE):
        yield line or block


def _members(document: Any, names: set[str]) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            if name in names:
                yield value
            else:
                yield from _members(value, names)
    elif isinstance(document, list):
        for member in document:
            yield from _members(member, names)


EXPRESSIONS = list(expressions())


def test_there_are_expressions_in_both() -> None:
    alerts = ALERTS.read_text(encoding="utf-8")
    assert len(EXPRESSIONS) > 45
    assert alerts.count("alert: ") == alerts.count("expr: ")


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS], ids=lambda path: str(path.name))
def test_every_metric_that_is_named_is_shown(path: Any) -> None:
    named = set(_NAME.findall(path.read_text(encoding="utf-8")))
    assert len(named) > 10
    assert named <= SAMPLES


def test_every_expression_has_a_metric() -> None:
    assert [expression for expression in EXPRESSIONS if not _NAME.search(expression)] == []


def test_every_label_that_is_asked_for_exists() -> None:
    for expression in EXPRESSIONS:
        grouped = {name.strip() for names in _GROUPING.findall(expression) for name in names.split(",")}
        selected = dict(_SELECTOR.findall(expression))
        assert grouped | selected.keys() <= LABELS, expression
        for label, values in VALUES.items():
            wanted = selected.get(label, "")
            assert not wanted or set(wanted.split("|")) <= set(values), expression


def test_everything_that_is_shown_is_on_the_dashboard_or_watched() -> None:
    named = {name for expression in EXPRESSIONS for name in _NAME.findall(expression)}
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} | named
    assert FAMILIES.keys() - bases == {"process_virtual_memory_bytes"}


def test_the_dashboard_can_be_imported(dashboard: Any) -> None:
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["id"] is None
    assert [one["name"] for one in dashboard["__inputs"]] == ["DS_PROMETHEUS"]
    sources = {source["uid"] for source in _sources(dashboard)}
    assert sources == {"${DS_PROMETHEUS}", "-- Grafana --"}


def _sources(document: Any) -> Iterator[Any]:
    if isinstance(document, dict):
        for name, value in document.items():
            if name == "datasource" and isinstance(value, dict):
                yield value
            yield from _sources(value)
    elif isinstance(document, list):
        for member in document:
            yield from _sources(member)


def test_panels_do_not_overlap_and_each_has_its_number(dashboard: Any) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells_of = {
            (column, row)
            for column in range(place["x"], place["x"] + place["w"])
            for row in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells_of, panel["title"]
        assert max(column for column, _ in cells_of) < 24
        taken |= cells_of


# the page


def rows() -> dict[str, tuple[str, ...]]:
    """Return the labels that the page gives each metric."""
    found: dict[str, tuple[str, ...]] = {}
    for names, labels, _ in page("docs/monitoring.md").rows(3):
        for name in re.findall(r"`([a-z_]+)`", names):
            found[name] = tuple(label for label in labels.split(", ") if label)
    return found


def test_the_page_has_everything_that_is_shown() -> None:
    assert rows().keys() == FAMILIES.keys()


def test_the_page_has_the_labels_of_each() -> None:
    for family in families(busy().reading()):
        samples: Iterable[tuple[Any, ...]] = family.samples
        labels: Labels = next(iter(samples))[0]
        assert rows()[family.sample_name] == tuple(name for name, _ in labels), family.name


def test_the_pages_expressions_name_what_is_shown() -> None:
    named = {name for cells_of in page("docs/monitoring.md").rows(2) for name in _NAME.findall(cells_of[1])}
    assert named
    assert named <= SAMPLES
