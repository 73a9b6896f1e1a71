"""What a worker of processes does: the call that a client handed in, made over a connection that is kept.

It runs in the peers' own environments and imports nothing of the gateway's.
"""

from __future__ import annotations

from typing import Any

import urllib3

from benchmarks.jobs.peers.settings import TIMEOUT, UPSTREAM

_pool: list[urllib3.PoolManager] = []


def call(path: str, body: str) -> dict[str, Any]:
    """Send a call to the upstream, and return what is kept of its answer."""
    if not _pool:
        # made by the process that uses it: workers fork
        _pool.append(urllib3.PoolManager(maxsize=1, retries=False, timeout=TIMEOUT))
    headers = {"Content-Type": "application/json"}
    answer = _pool[0].request("POST", UPSTREAM + path, body=body.encode(), headers=headers)
    return {"status": answer.status, "headers": dict(answer.headers), "body": answer.data.decode()}
