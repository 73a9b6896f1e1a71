"""What a gateway shows at ``/metrics``, as Prometheus' own client library reads it."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.daemon import Daemon

OPENMETRICS = "application/openmetrics-text"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """The samples of one scrape; names are told without ``twistedgate_``."""

    def __init__(self, daemon: Daemon, accept: str = f"{OPENMETRICS}; version=1.0.0") -> None:
        self.answer = ask(daemon, f"Accept: {accept}")
        assert self.answer.status == 200
        text = self.answer.body.decode()
        kind = self.answer.value("Content-Type") or ""
        families = read_openmetrics(text) if kind.startswith(OPENMETRICS) else read_text(text)
        self.samples: Samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a sample, 0 if there is none."""
        return self.samples.get((f"twistedgate_{name}", frozenset(labels.items())), 0.0)

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return all samples of a name, by their label values in the order of the labels' names."""
        return {
            tuple(value for _, value in sorted(labels)): value
            for (found, labels), value in self.samples.items()
            if found == f"twistedgate_{name}"
        }


def ask(daemon: Daemon, *fields: str) -> Answer:
    """Return the answer to one scrape."""
    port = daemon.ports["admin"]
    with Client(port) as client:
        return client.get("/metrics", f"Host: 127.0.0.1:{port}", "Connection: close", *fields)
