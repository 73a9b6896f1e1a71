"""A FastAPI endpoint that hands a call to arq, and one to poll; the worker is one process of coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import aiohttp
from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from benchmarks.jobs.peers.settings import CONCURRENCY, REDIS, RESULT_SECONDS, TIMEOUT, UPSTREAM


async def call(shared: dict[str, Any], path: str, body: str) -> dict[str, Any]:
    """Send a call to the upstream, and return what is kept of its answer."""
    headers = {"Content-Type": "application/json"}
    async with shared["session"].post(UPSTREAM + path, data=body.encode(), headers=headers) as answer:
        return {"status": answer.status, "headers": dict(answer.headers), "body": await answer.text()}


async def open_session(shared: dict[str, Any]) -> None:
    """Open what the worker's calls share."""
    shared["session"] = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT))


async def close_session(shared: dict[str, Any]) -> None:
    """Close it."""
    await shared["session"].close()


class WorkerSettings:
    """How ``arq`` runs the worker; with its own half second between looks it would do 100 jobs a second."""

    functions: ClassVar = [call]
    on_startup = open_session
    on_shutdown = close_session
    redis_settings = RedisSettings.from_dsn(REDIS)
    max_jobs = CONCURRENCY
    keep_result = RESULT_SECONDS
    job_timeout = TIMEOUT
    poll_delay = 0.02
    queue_read_limit = 200


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    """Hold the connections to Redis for as long as the application runs."""
    app.state.pool = await create_pool(WorkerSettings.redis_settings)
    yield
    await app.state.pool.aclose()


app = FastAPI(lifespan=connected)


async def submit(path: str, request: Request) -> JSONResponse:
    """Accept a call."""
    body = await request.body()
    job = await app.state.pool.enqueue_job("call", f"/{path}", body.decode())
    return JSONResponse({"id": job.job_id}, 202, {"Location": f"/jobs/{job.job_id}"})


async def poll(name: str) -> JSONResponse:
    """Say how a call stands, and what was answered."""
    found = await Job(name, app.state.pool).result_info()
    if found is not None:
        return JSONResponse({"id": name, "state": "complete", "result": found.result})
    return JSONResponse({"id": name, "state": "waiting"}, 409)


app.get("/jobs/{name}")(poll)
app.post("/{path:path}")(submit)
