"""Has a slow call made as a job, waits, and prints its answer, in a program on Twisted.

``[API_KEY=KEY] python job_treq.py URL [BODY]``
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any
from urllib.parse import urljoin

import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

Fields = dict[str | bytes, str | bytes]

CREDENTIALS: Fields = {"X-API-Key": os.environ["API_KEY"]} if "API_KEY" in os.environ else {}


class JobFailed(Exception):
    """The upstream has given no answer; the text says why."""


async def call(reactor: Any, url: str, body: bytes | None = None) -> bytes:
    """Return what a slow URL answers, however long that takes."""
    asked: Fields = {"Prefer": "respond-async, wait=5", "Idempotency-Key": str(uuid.uuid4())}
    method = "GET" if body is None else "POST"
    answer = await treq.request(method, url, headers=CREDENTIALS | asked, data=body)
    location = answer.headers.getRawHeaders("Location", [""])[0]
    if answer.code != 202 or answer.headers.hasHeader("Job-Id"):
        return await answer.content()  # the upstream's own: it came within those 5 seconds
    while True:
        answer = await treq.get(urljoin(url, location), headers={**CREDENTIALS, "Prefer": "wait=20"})
        document = await answer.json()
        if document["state"] == "succeeded":
            result = await treq.get(urljoin(url, document["links"]["result"]), headers=CREDENTIALS)
            return await result.content()
        if document["state"] not in {"queued", "running"}:
            raise JobFailed(document["reason"] or document["state"])
        await deferLater(reactor, int(answer.headers.getRawHeaders("Retry-After", ["1"])[0]))


async def _main(reactor: Any, url: str, *body: str) -> None:
    sys.stdout.buffer.write(await call(reactor, url, *map(str.encode, body)))


if __name__ == "__main__":
    react(lambda reactor, *given: Deferred.fromCoroutine(_main(reactor, *given)), sys.argv[1:])
