"""Whoever serves, the service has it by one port."""

from __future__ import annotations

from pathlib import Path

from tests.running import FRONT, WORD, Running
from twistedgate.facts import ProcessFacts, Serves, TargetFacts, UpstreamFacts


def test_one_process_serves_by_the_port(tmp_path: Path) -> None:
    alone: Serves = Running(tmp_path, FRONT, WORD.format("here")).crew
    assert alone.wanted == len(alone.processes) == 1
    assert alone.is_well()


def test_facts_compare_by_what_they_say() -> None:
    assert ProcessFacts(1, "serving", 2, 3) == ProcessFacts(1, "serving", 2, 3)
    assert UpstreamFacts(1, 2, 3, 4) != UpstreamFacts(1, 2, 3, 5)
    assert TargetFacts(1, 2, 3) == TargetFacts(1, 2, 3)
