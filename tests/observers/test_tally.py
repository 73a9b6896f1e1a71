from __future__ import annotations

from tests.observers.counted import Counted
from tests.upstream.house import FIRST, House
from twistedgate.observers.tally import Tally

PLACE = ("orders", FIRST)


class Log:
    """An access log of which so many lines were lost."""

    def __init__(self, dropped: int = 0) -> None:
        self.dropped = dropped


class Scene:
    """An upstream, and the counts of it."""

    def __init__(self) -> None:
        self.counted = Counted()
        self.counted.configure(upstreams=("orders",))
        self.counted.measures.found(*PLACE)
        self.tally = Tally(self.counted.metrics)
        self.house = House()
        self.log = Log()

    def take(self) -> tuple[float, float, float]:
        """Take what is new; return requests and failures of the target, and lost lines, so far."""
        self.tally.take([self.house.upstream], self.log)  # type: ignore[arg-type]
        return (
            self.counted.values("twistedgate_target_requests")[PLACE],
            self.counted.values("twistedgate_target_failures")[PLACE],
            self.counted.values("twistedgate_access_log_dropped")[()],
        )


def test_adds_what_targets_count() -> None:
    scene = Scene()
    target = scene.house.upstream.targets.by_name[FIRST]
    target.requests, target.failed = 3, 1
    assert scene.take() == (3, 1, 0)
    assert scene.take() == (3, 1, 0)
    target.requests, target.failed = 7, 2
    assert scene.take() == (7, 2, 0)


def test_a_target_that_is_made_anew_takes_nothing_back() -> None:
    scene = Scene()
    scene.house.upstream.targets.by_name[FIRST].requests = 3
    assert scene.take() == (3, 0, 0)
    scene.house = House()
    scene.house.upstream.targets.by_name[FIRST].requests = 2
    assert scene.take() == (5, 0, 0)


def test_a_log_that_is_made_anew_takes_nothing_back() -> None:
    scene = Scene()
    scene.log.dropped = 4
    assert scene.take()[2] == 4
    scene.log.dropped = 6
    assert scene.take()[2] == 6
    scene.log = Log(1)
    assert scene.take()[2] == 7
    assert scene.take()[2] == 7
