"""The metrics of the process that says where each count has its cells.

Blocks come and go with what they are of.  When there is no room, what has none shares those of ``other``.
This module does not know who else counts into the same columns, nor what is shown of the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableSequence

from twisted.logger import Logger

from twistedgate.config.model import Configuration
from twistedgate.observers.cells import FIXED, TARGET_CELLS, blocks_of, target_block
from twistedgate.observers.metrics import Metrics
from twistedgate.workers.columns import Columns, NoRoom

_log = Logger()


class Measures:
    """The blocks, the counts of this process, and what becomes of targets: a witness."""

    def __init__(
        self, cells: MutableSequence[int], columns: Columns, changed: Callable[[], object] = lambda: None
    ) -> None:
        """``cells`` are this process's, extended as need be; what ``columns`` has given out is gone on with.

        ``changed`` is called whenever ``starts`` is not as before: others that count have to be told.
        """
        self._cells = cells
        self._columns = columns
        self._changed = changed
        self._is_full = False
        self.starts: dict[str, int] = columns.starts
        """Where each block begins."""
        self._take(FIXED)
        self.metrics = Metrics(cells, self.starts)

    def configure(self, configuration: Configuration) -> None:
        """Have the blocks that a configuration wants; those of its upstreams' targets stay."""
        wanted = blocks_of(configuration)
        self._keep(lambda block: block in wanted or _upstream_of(block) in configuration.upstreams)
        self._take(wanted)
        self.metrics.arrange()
        self._changed()

    def keep_targets(self, upstream: str, targets: Iterable[str]) -> None:
        """Give back the blocks of an upstream's targets but these."""
        kept = {target_block(upstream, target) for target in targets} | FIXED.keys()
        if self._keep(lambda block: block in kept or _upstream_of(block) != upstream):
            self._changed()

    def _take(self, wanted: Mapping[str, int]) -> None:
        for block, length in wanted.items():
            try:
                start = self.starts[block] = self._columns.take(block, length)
                missing = start + length - len(self._cells)
                if missing > 0:
                    self._cells.extend([0] * missing)
            except NoRoom:
                if not self._is_full:
                    _log.warn("no room for the metrics of {block}: it is counted as other", block=block)
                self._is_full = True

    def _keep(self, is_kept: Callable[[str], bool]) -> bool:
        """Give every other block back; returns whether there was one."""
        gone = [block for block in self.starts if not is_kept(block)]
        for block in gone:
            del self.starts[block]
            self._columns.release(block)
        return bool(gone)

    # the witness

    def found(self, upstream: str, target: str) -> None:
        """A target is there: it has a block from now on."""
        block = target_block(upstream, target)
        if block not in self.starts:
            self._take({block: TARGET_CELLS})
            self._changed()

    def probed(self, upstream: str, target: str, is_good: bool) -> None:
        """A check of a target's health ended."""
        self.metrics.probed(upstream, target, is_good)

    def ejected(self, upstream: str, target: str) -> None:
        """A target is out, as requests to it failed."""
        self.metrics.ejected(upstream, target)


def _upstream_of(block: str) -> str | None:
    """Return the upstream of a target's block, ``None`` for any other block."""
    kind, _, name = block.partition(":")
    # an address has no slash
    return name.rpartition("/")[0] if kind == "target" else None
