"""A FastAPI endpoint that hands a call to Celery, and one to poll; the broker and the results are in Redis.

The endpoints are coroutines that speak to Redis without leaving their thread: in the threads that plain
functions are given, Celery's client fails most submissions of 64 clients.
"""

from __future__ import annotations

from celery import Celery
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from benchmarks.jobs.peers.calls import call
from benchmarks.jobs.peers.settings import REDIS, RESULT_SECONDS

celery = Celery("calls", broker=REDIS, backend=REDIS)
celery.conf.result_expires = RESULT_SECONDS
celery.conf.broker_connection_retry_on_startup = True
send = celery.task(call, name="call")

app = FastAPI()


async def submit(path: str, request: Request) -> JSONResponse:
    """Accept a call."""
    body = await request.body()
    task = send.delay(f"/{path}", body.decode())
    return JSONResponse({"id": task.id}, 202, {"Location": f"/jobs/{task.id}"})


async def poll(name: str) -> JSONResponse:
    """Say how a call stands, and what was answered."""
    found = celery.AsyncResult(name)
    state = found.state
    if state == "SUCCESS":
        return JSONResponse({"id": name, "state": state, "result": found.result})
    return JSONResponse({"id": name, "state": state}, 409)


app.get("/jobs/{name}")(poll)
app.post("/{path:path}")(submit)
