"""One callback over HTTP: a POST on a connection of its own, to an address that was judged before.

Nothing of the answer but its status and ``Retry-After`` is kept; no redirect is followed, and of what the
receiver sends no more than 64 KiB is read, its head included.  The status counts as soon as the head is
there, whatever becomes of the body.  A certificate must be that of the host in the URL, not of the address.
This module looks no name up, and judges no address: it is given those that may be connected to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IConsumer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from twistedgate.jobs.callback_url import CallbackURL
from twistedgate.jobs.redelivery import Reply
from twistedgate.jobs.webhook import Message
from twistedgate.net.outgoing import Discarded, Place, agent_to
from twistedgate.net.tls import ClientTLS

LONGEST_ANSWER = 64 * 1024
"""Bytes of an answer after which the connection is cut."""

CONNECT_TIMEOUT = 4.0
"""Seconds to connect to one address, so that three of them fit into the time of a try."""

MOST_ADDRESSES = 3
"""Addresses of a host that are connected to in one try, until one accepts."""

BODY_SECONDS = 2.0
"""Seconds that the body of an answer may take, once its status is known."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent where."""

    url: CallbackURL
    addresses: tuple[str, ...]
    """Of the host; all of them were judged."""
    message: Message


class Deliver(Protocol):
    """Sends a callback, once."""

    def __call__(self, delivery: Delivery, /) -> Deferred[Reply]:
        """Return the receiver's answer; fails if there is none, and can be cancelled."""


class HTTPDelivery:
    """Sends callbacks."""

    def __init__(self, reactor: Any, settings: SSL.Context) -> None:
        """``settings`` are those of ``net.tls.client_settings``, which say whom to trust."""
        self._reactor = reactor
        self._settings = settings

    def __call__(self, delivery: Delivery) -> Deferred[Reply]:
        """Return the receiver's answer."""
        return Deferred.fromCoroutine(self._post(delivery))

    async def _post(self, delivery: Delivery) -> Reply:
        *first, last = delivery.addresses[:MOST_ADDRESSES]
        for address in first:
            try:
                return await self._post_to(address, delivery)
            except ConnectingCancelledError:
                raise
            except ConnectError:
                # Nothing was sent: the next may be reached.
                continue
        return await self._post_to(last, delivery)

    async def _post_to(self, address: str, delivery: Delivery) -> Reply:
        url = delivery.url
        tls = ClientTLS(url.host, self._settings) if url.scheme == "https" else None
        agent = agent_to(self._reactor, Place(address, url.port, CONNECT_TIMEOUT, LONGEST_ANSWER, tls))
        headers = Headers({b"Host": [url.authority.encode()], b"Accept": [b"*/*"]})
        for name, value in delivery.message.headers:
            headers.addRawHeader(name, value)
        uri = str(url).encode()
        response = await agent.request(b"POST", uri, headers, _Whole(delivery.message.body))
        await self._discard(response)
        return _reply(response)

    def _discard(self, response: IResponse) -> Deferred[None]:
        """Read the body, so that the receiver need not see its connection cut; but not for long."""
        body = Discarded(LONGEST_ANSWER)
        response.deliverBody(body)
        body.ended.addTimeout(BODY_SECONDS, self._reactor)
        return body.ended.addErrback(lambda _: None)


def _reply(response: IResponse) -> Reply:
    told = response.headers.getRawHeaders(b"retry-after") or [b""]
    return Reply(int(response.code), told[0].decode("latin-1").strip())


@implementer(IBodyProducer)
class _Whole:
    """Writes a body that is there; twisted.web's own would ask the global reactor for turns."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it all: it is small."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """There is nothing more to come."""

    def resumeProducing(self) -> None:
        """There is nothing more to come."""

    def stopProducing(self) -> None:
        """There is nothing more to come."""
