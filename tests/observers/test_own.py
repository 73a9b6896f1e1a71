from __future__ import annotations

from twistedgate.config.model import Configuration
from twistedgate.observers.cells import FIXED, PROCESS, route_block
from twistedgate.observers.measures import Measures
from twistedgate.observers.own import OwnCells
from twistedgate.workers.columns import Columns


def test_cells_are_there_for_whatever_was_given_out_and_no_more() -> None:
    own = OwnCells()
    measures = Measures(own.cells, Columns(10**9, own.clear))
    assert len(own.cells) == sum(FIXED.values())
    for block, start in measures.starts.items():
        assert own.total(start, FIXED[block]) == [0] * FIXED[block]


def test_a_count_is_read_where_it_was_counted_until_it_is_cleared() -> None:
    own = OwnCells()
    measures = Measures(own.cells, Columns(10**9, own.clear))
    measures.metrics.accepted()
    start = measures.starts[PROCESS]
    assert sum(own.total(start, FIXED[PROCESS])) == 1
    own.clear(start, FIXED[PROCESS])
    assert sum(own.total(start, FIXED[PROCESS])) == 0
    assert len(own.cells) == sum(FIXED.values())


def test_a_configuration_that_is_applied_again_needs_no_more_cells() -> None:
    own = OwnCells()
    measures = Measures(own.cells, Columns(10**9, own.clear))
    configuration = Configuration()
    for _ in range(3):
        measures.configure(configuration)
    assert route_block("") in measures.starts
    assert len(own.cells) == sum(FIXED.values())
