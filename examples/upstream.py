"""A sample server to stand behind the gateway: it answers JSON that tells who it is.

    python examples/upstream.py --name fast --port 9001 --delay 0

``/health`` says that it is well, ``/slow`` takes five seconds, what is below ``/reports/`` three, ``/echo``
gives back what it was sent, and everything else says which server answered.  Ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json

from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

SLOW_SECONDS = 5.0
REPORT_SECONDS = 3.0


class Sample(Resource):
    """Answers every path, after ``delay`` seconds."""

    isLeaf = True

    def __init__(self, name: str, delay: float) -> None:
        super().__init__()
        self.name = name
        self.delay = delay

    def render(self, request: Request) -> int:
        """Answer later; a client that left by then is not answered."""
        path = request.path.decode("ascii", "replace")
        delay = {"/health": 0.0, "/slow": SLOW_SECONDS}.get(path, self.delay)
        if path.startswith("/reports/"):
            delay = REPORT_SECONDS
        call = reactor.callLater(delay, self._answer, request, path)

        def cancel(_gone: Failure) -> None:
            if call.active():
                call.cancel()

        request.notifyFinish().addErrback(cancel)
        return NOT_DONE_YET

    def _answer(self, request: Request, path: str) -> None:
        answer: dict[str, object] = {"server": self.name}
        if path != "/health":
            answer |= {"method": request.method.decode("ascii", "replace"), "path": path}
        if path == "/echo" and request.content is not None:
            fields = request.requestHeaders.getAllRawHeaders()
            answer["headers"] = {name.decode(): values[0].decode("latin-1") for name, values in fields}
            answer["body"] = request.content.read().decode("utf-8", "replace")
        body = json.dumps(answer).encode() + b"\n"
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"content-length", str(len(body)).encode())
        request.setHeader(b"x-served-by", self.name.encode())
        request.write(body)
        request.finish()


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="sample")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    site = Site(Sample(options.name, options.delay), parsePOSTFormSubmission=False)
    try:
        # Site is a factory of the protocol that negotiates HTTP/2, which its type does not say.
        reactor.listenTCP(options.port, site, backlog=1024, interface="127.0.0.1")  # type: ignore[arg-type]
    except CannotListenError as error:
        raise SystemExit(f"sample server {options.name}: {error}") from None
    reactor.run()


if __name__ == "__main__":
    main()
