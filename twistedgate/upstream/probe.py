"""One health check over HTTP: a GET by treq, on a connection of its own, to the target's address.

Nothing of the target's answer but its status is believed: no redirect is followed, no cookie kept, nothing
decoded, and no more than 64 KiB of it read (the head may be as long again).  Nothing is tried twice: a
check that fails has failed.  This module does not know when checks are made, nor what they mean.
"""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from twistedgate.net.outgoing import Discarded, Place, agent_to
from twistedgate.upstream.prober import HealthCheck

LONGEST_BODY = 64 * 1024
"""Bytes of a body after which the answer is taken for complete."""

LONGEST_ANSWER = 4 * LONGEST_BODY
"""Bytes of an answer, head and framing included, after which the connection is cut."""

USER_AGENT = "twistedgate-health"


class HTTPProbe:
    """Makes checks."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __call__(self, check: HealthCheck) -> Deferred[int]:
        """Return the status of the target's answer."""
        return Deferred.fromCoroutine(self._get(check))

    async def _get(self, check: HealthCheck) -> int:
        address = f"[{check.address}]" if ":" in check.address else check.address
        agent = agent_to(
            self._reactor, Place(check.address, check.port, check.timeout, LONGEST_ANSWER, check.tls)
        )
        # A client for each check: treq's keeps the cookies that it is given.
        response = await HTTPClient(_Undecoded(agent)).get(
            f"{check.scheme}://{address}:{check.port}{check.path}",
            headers=Headers({"Host": [check.host], "User-Agent": [USER_AGENT], "Accept": ["*/*"]}),
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        body = Discarded(LONGEST_BODY)
        response.deliverBody(body)
        await body.ended
        return int(response.code)


@implementer(IAgent)
class _Undecoded:
    """Neither offers an encoding nor tells of one: what is thrown away need not be unpacked first."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send the request."""
        kept = Headers() if headers is None else headers.copy()
        kept.removeHeader(b"accept-encoding")
        asking: Deferred[IResponse] = self._agent.request(method, uri, kept, bodyProducer)
        return asking.addCallback(_without_encoding)


def _without_encoding(response: IResponse) -> IResponse:
    response.headers.removeHeader(b"content-encoding")
    return response
