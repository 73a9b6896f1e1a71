"""Hears of jobs that have ended, and believes what is signed.

``SECRET=whsec_... python receiver.py PORT``
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import sys
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer

TOLERANCE = 300
"""Seconds that a message may be old: an older one may be somebody's copy."""


def is_signed(secret: str, head: Message, body: bytes) -> bool:
    """Whether a message was signed with this secret, as Standard Webhooks has it."""
    identity, timestamp = head.get("webhook-id", ""), head.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{identity}.{timestamp}.".encode() + body, "sha256")
    expected = b"v1," + base64.b64encode(digest)
    given = head.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(expected, one) for one in given)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is signed; the gateway comes again after anything else."""

    seen: set[str] = set()  # noqa: RUF012 -- of all: the same end may be told twice, so yours is in a database

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not is_signed(os.environ["SECRET"], self.headers, body):
            self.send_error(401)
            return
        if self.headers["webhook-id"] not in self.seen:
            self.seen.add(self.headers["webhook-id"])
            job = json.loads(body)["data"]
            print(job["id"], job["state"], job["status"] or job["reason"], flush=True)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
