"""How much may be under way at once.

Rules: never above the limit; whoever entered leaves, on every way out.  Nothing waits here: who cannot
enter is told so at once.
"""

from __future__ import annotations


class Gate:
    """Counts what is under way, up to ``limit``; ``None`` is no limit.

    ``limit`` may be set anew while something is under way: below that, nothing enters until enough left.
    """

    __slots__ = ("limit", "under_way")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.under_way = 0

    @property
    def total(self) -> int:
        """What is under way wherever the limit holds: here, unless several processes share it."""
        return self.under_way

    def enter(self) -> bool:
        """Count one more; ``False``, and nothing is counted, if that would pass the limit."""
        if self.limit is not None and self.under_way >= self.limit:
            return False
        self.under_way += 1
        return True

    def leave(self) -> None:
        """Count one less; only for what entered."""
        if not self.under_way:
            raise RuntimeError("more left than entered")
        self.under_way -= 1

    def __repr__(self) -> str:
        return f"<Gate {self.under_way} of {'any' if self.limit is None else self.limit}>"
