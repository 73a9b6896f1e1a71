"""What a witness hears of the targets of an upstream."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.upstream.network import World, upstream_config
from twistedgate.upstream.judging import Judging
from twistedgate.upstream.witness import NoWitness, Witness

FIRST, SECOND = "192.0.2.1:80", "192.0.2.2:80"


class Diary:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, ...]] = []

    def found(self, upstream: str, target: str) -> None:
        """A target is there."""
        self.lines.append(("found", upstream, target))

    def probed(self, upstream: str, target: str, is_good: bool) -> None:
        """A check ended."""
        self.lines.append(("passed" if is_good else "failed", upstream, target))

    def ejected(self, upstream: str, target: str) -> None:
        """A target is out."""
        self.lines.append(("ejected", upstream, target))

    def take(self) -> list[tuple[str, ...]]:
        """Return what was heard since the last time."""
        lines, self.lines = self.lines, []
        return lines


def watched(world: World, witness: Witness, *places: str, **options: Any) -> Judging:
    """Return who judges the targets of ``orders``, at whose fate the witness looks."""
    watching = dataclasses.replace(world.watching, witness=witness)
    judging = Judging(upstream_config(*places, **options), watching, None, lambda standings: None)
    judging.start()
    return judging


def test_hears_of_each_target_that_is_found() -> None:
    diary = Diary()
    world = World()
    watched(world, diary, "orders.test:80")
    assert diary.take() == []
    world.names.answer("orders.test", "192.0.2.1", "192.0.2.2")
    assert diary.take() == [("found", "orders", FIRST), ("found", "orders", SECOND)]


def test_hears_of_each_check() -> None:
    diary = Diary()
    world = World()
    watched(world, diary, FIRST, SECOND, health_path="/health")
    diary.take()
    world.probe.answer(FIRST, 500)
    world.probe.answer(SECOND, 200)
    assert diary.take() == [("failed", "orders", FIRST), ("passed", "orders", SECOND)]


def test_hears_of_each_ejection_and_of_no_other_change() -> None:
    diary = Diary()
    world = World()
    judging = watched(world, diary, FIRST, SECOND, eject_after=1, eject_for=10.0)
    diary.take()
    judging.failed(FIRST, "reset", world.network.seconds())
    judging.failed(FIRST, "reset", world.network.seconds())
    assert diary.take() == [("ejected", "orders", FIRST)]
    world.network.advance(11.0)
    judging.tick(world.network.seconds())
    judging.succeeded(FIRST, world.network.seconds())
    assert diary.take() == []


def test_none_is_needed() -> None:
    world = World()
    judging = watched(world, NoWitness(), FIRST, SECOND, eject_after=1, health_path="/health")
    judging.failed(FIRST, "reset", world.network.seconds())
    world.probe.answer(SECOND, 200)
    assert [standing.may_pick for standing in judging.standings] == [False, True]
