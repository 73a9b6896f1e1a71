"""The gateway: an immutable snapshot of a configuration, and the line that every exchange goes through.

Read ``Gateway.serve`` first: match, admit, answer, dress, reply, finish.  A reload makes a new ``Gateway``
aside and swaps one reference; exchanges under way keep the one they began with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from twisted.logger import Logger

from twistedgate.errors import ClientGone, Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.message import Response
from twistedgate.pipeline import Pipeline
from twistedgate.problem import complete, from_failure, from_refusal, refuse
from twistedgate.routing.table import Miss, RouteTable
from twistedgate.wire.framing import ALLOW

_log = Logger()

_NO_JOBS: Final[Mapping[str, Pipeline]] = MappingProxyType({})


class ClientPort(Protocol):
    """The client of one exchange, as the line sees it."""

    def reply(self, exchange: Exchange, response: Response) -> Awaitable[None] | None:
        """Send the head now and the body by relay; wait for what is returned, if anything."""

    def abort(self) -> None:
        """Cut the connection: what was sent must not be taken for whole."""


class Gateway:
    """Routes, and who observes what was answered."""

    def __init__(
        self,
        routes: RouteTable[Pipeline],
        observe: Callable[[Exchange], None],
        now: Callable[[], float],
        jobs: Mapping[str, Pipeline] = _NO_JOBS,
    ) -> None:
        """``observe`` is called with every exchange that ended; ``now`` gives monotonic seconds."""
        self.routes = routes
        self.jobs = jobs
        """The pipelines whose calls may become jobs, by the names of their routes."""
        self._observe = observe
        self._now = now

    async def serve(self, exchange: Exchange, client: ClientPort) -> None:
        """Take one exchange through the line; whatever happens, it is finished and observed."""
        try:
            try:
                response = self._match(exchange)
                if response is None:
                    pipeline = exchange.pipeline
                    assert pipeline is not None
                    admitted = pipeline.admit(exchange)
                    if admitted is not None:
                        response = admitted if isinstance(admitted, Response) else await admitted
                    if response is None:
                        response = await pipeline.action.answer(exchange)
            except UpstreamFailure as failure:
                response = from_failure(failure)
            except Refusal as refusal:
                response = from_refusal(refusal)
            except Exception:  # noqa: BLE001 -- one of the two places that catch broadly
                _log.failure("exchange {id} failed", id=exchange.request_id)
                response = refuse(500, "internal")
            pipeline = exchange.pipeline
            if pipeline is not None and pipeline.dresses:
                response = await pipeline.dress(exchange, response)
            waiting = self._reply(exchange, response, client)
            if waiting is not None:
                await waiting
        except ClientGone:
            exchange.reason = exchange.reason or "client-gone"
        except Exception as error:  # noqa: BLE001 -- the same place, once the head is out
            self._cut(exchange, client, error)
        finally:
            self._finish(exchange)

    def refuse(self, exchange: Exchange, refusal: Refusal, client: ClientPort) -> None:
        """Answer what could not be understood, or what was refused before the line began."""
        self._reply(exchange, from_refusal(refusal), client)
        self._finish(exchange)

    def _match(self, exchange: Exchange) -> Response | None:
        """Find the pipeline; return the answer where none is needed."""
        request = exchange.request
        target = request.target
        if target.path == "*":
            response = Response(204)
            response.headers.add(b"Allow", ALLOW)
            return response
        found = self.routes.match(request.method, target.host, target.path, request.headers)
        if isinstance(found, Miss):
            return _refuse_miss(found)
        exchange.pipeline = found
        return None

    def _reply(self, exchange: Exchange, response: Response, client: ClientPort) -> Awaitable[None] | None:
        if response.reason:
            complete(response, exchange)
            exchange.reason = response.reason
        exchange.status = response.status
        exchange.response = response
        return client.reply(exchange, response)

    def _cut(self, exchange: Exchange, client: ClientPort, error: Exception) -> None:
        """The head is out: all that is left is not to let half an answer look like a whole one."""
        if isinstance(error, Refusal | UpstreamFailure):
            exchange.reason = error.reason
        else:
            _log.failure("the answer of exchange {id} failed", id=exchange.request_id)
            exchange.reason = "internal"
        client.abort()

    def _finish(self, exchange: Exchange) -> None:
        pipeline = exchange.pipeline
        if pipeline is not None:
            pipeline.finish(exchange)
        if not exchange.finished:
            exchange.finished = self._now()
        self._observe(exchange)


def _refuse_miss(miss: Miss) -> Response:
    if not miss.allowed:
        return refuse(404, "no-route")
    allow = ", ".join(miss.allowed).encode("ascii")
    return refuse(405, "method-not-allowed", fields=((b"Allow", allow),))
