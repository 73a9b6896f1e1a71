"""What is written while the reactor hands on the events of one poll, sent when all are handed on.

A peer that sleeps is woken by each ``send``, at three microseconds each where processors are virtual.  Sent
one after the other, what belongs to many connections finds their peers awake: a tenth of what an exchange
costs under load.  Nothing waits longer than for the events that were there already, nor where there is but
one.  This module does not know how a transport sends.
"""

from __future__ import annotations

from typing import Protocol

MOST = 256
"""Writes that wait at most; the first of them for some milliseconds."""


class Late(Protocol):
    """A transport with something to send."""

    def send_late(self) -> None:
        """Send what waits."""


class Turn:
    """The transports with something to send at the end of the turn, while there is one."""

    __slots__ = ("is_open", "waiting")

    def __init__(self) -> None:
        self.is_open = False
        self.waiting: list[Late] = []
        """Who is to send at the end, in their order; whoever is the ``MOST``-th has all of them send."""

    def send(self) -> None:
        """Have all send that wait."""
        waiting, self.waiting = self.waiting, []
        for transport in waiting:
            transport.send_late()

    def close(self) -> None:
        """The events are handed on."""
        self.is_open = False
        if self.waiting:
            self.send()


turn = Turn()
"""That of the process: it has one reactor that turns."""
