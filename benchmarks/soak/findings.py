"""What a scenario found: figures to read, and faults that make it fail."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """The figures and faults of one scenario."""

    figures: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, name: str, value: object) -> None:
        """Write a figure down."""
        self.figures[name] = str(value)

    def expect(self, is_so: bool, otherwise: str) -> None:
        """Write a fault down unless it ``is_so``."""
        if not is_so:
            self.faults.append(otherwise)

    @property
    def verdict(self) -> str:
        """``ok``, or what went wrong."""
        return "FAILED: " + "; ".join(self.faults) if self.faults else "ok"

    def row(self, name: str, did: str) -> str:
        """Return what was done, the figures and the verdict."""
        figures = ", ".join(f"{key} {value}" for key, value in self.figures.items())
        return f"{name}: {did}\n  {figures}\n  {self.verdict}"


def mebibytes(count: float) -> str:
    """Write a number of bytes as MiB."""
    return f"{count / 2**20:.1f} MiB"
