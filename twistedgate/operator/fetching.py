"""A body that a gateway streams, taken piece by piece: never more than one piece is held.

A body that ends before its announced length is a fault that is told, and never taken for whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse

from twistedgate.operator.address import Address, CannotAsk
from twistedgate.operator.asking import LARGEST_ANSWER, Reply, answering, explaining, stranger, understand

CHUNK = 64 * 1024
"""Bytes of a piece."""

BYTES = "application/octet-stream"
"""The type of what is no answer about something, but the thing itself."""


class Body:
    """The body of an answer that is on its way."""

    def __init__(self, address: Address, answer: HTTPResponse) -> None:
        self._address = address
        self._answer = answer
        self.length = answer.length or 0

    def pieces(self) -> Iterator[bytes]:
        """Give the body; raises ``CannotAsk`` where it breaks off."""
        taken = 0
        while taken < self.length:
            with explaining(self._address):
                piece = self._answer.read(min(CHUNK, self.length - taken))
            if not piece:
                raise CannotAsk(
                    f"the answer of the gateway at {self._address.shown} broke off after {taken} of "
                    f"{self.length} bytes; its log may say why"
                )
            taken += len(piece)
            yield piece


@contextmanager
def fetching(address: Address, path: str, patience: float = 0.0) -> Iterator[Body | Reply]:
    """Ask for something that is fetched as it is; give its body, or the refusal."""
    with answering(address, path, "GET", patience) as answer:
        if answer.status == 200 and answer.getheader("Content-Type") == BYTES:
            yield Body(address, answer)
            return
        with explaining(address):
            body = answer.read(LARGEST_ANSWER)
        reply = understand(address, answer.status, body)
        if reply.is_good:
            raise stranger(address)
        yield reply
