"""Who is told what becomes of targets, besides the log: the port through which it is counted."""

from __future__ import annotations

from typing import Protocol


class Witness(Protocol):
    """Hears of targets, each by the name of its upstream and its own."""

    def found(self, upstream: str, target: str) -> None:
        """A target is there, perhaps not for the first time."""

    def probed(self, upstream: str, target: str, is_good: bool) -> None:
        """A check of a target's health ended."""

    def ejected(self, upstream: str, target: str) -> None:
        """A target is out, as requests to it failed."""


class NoWitness:
    """Where nothing is counted."""

    def found(self, upstream: str, target: str) -> None:
        """A target is there."""

    def probed(self, upstream: str, target: str, is_good: bool) -> None:
        """A check ended."""

    def ejected(self, upstream: str, target: str) -> None:
        """A target is out."""
