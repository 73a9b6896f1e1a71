"""Has a slow call made as a job, waits, and prints its answer, with the standard library alone.

``[API_KEY=KEY] python job.py URL [BODY]``
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from email.message import Message
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import Request, urlopen

CREDENTIALS = {"X-API-Key": os.environ["API_KEY"]} if "API_KEY" in os.environ else {}


class JobFailed(Exception):
    """The upstream has given no answer; the text says why."""


def call(url: str, body: bytes | None = None, key: str = "") -> bytes:
    """Return what a slow URL answers, however long that takes; calls with the same ``key`` are one call."""
    asked = {"Prefer": "respond-async, wait=5", "Idempotency-Key": key or str(uuid.uuid4())}
    status, head, answer = _send(Request(url, body, CREDENTIALS | asked))
    if status != 202 or "Job-Id" in head:
        return answer  # the upstream's own: it came within those 5 seconds
    job = Request(urljoin(url, head["Location"]), headers=CREDENTIALS | {"Prefer": "wait=20"})
    while True:
        _, head, answer = _send(job)
        document = json.loads(answer)
        if document["state"] == "succeeded":
            return _send(Request(urljoin(url, document["links"]["result"]), headers=CREDENTIALS))[2]
        if document["state"] not in {"queued", "running"}:
            raise JobFailed(document["reason"] or document["state"])
        time.sleep(int(head["Retry-After"]))


def _send(request: Request) -> tuple[int, Message, bytes]:
    """Return status, head and body; what was lost or refused for now is sent again: it is still one call."""
    for pause in (1, 2, 4, 8, None):
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except OSError as error:
            is_final = isinstance(error, HTTPError) and (
                error.code not in {429, 503} or "Job-Id" in error.headers
            )
            if is_final or pause is None:
                raise
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


if __name__ == "__main__":
    sys.stdout.buffer.write(call(sys.argv[1], sys.argv[2].encode() if sys.argv[2:] else None))
