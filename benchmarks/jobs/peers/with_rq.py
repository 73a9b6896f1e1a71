"""A FastAPI endpoint that hands a call to RQ, and one to poll."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from redis import Redis
from rq import Queue
from rq.job import Job

from benchmarks.jobs.peers.calls import call
from benchmarks.jobs.peers.settings import REDIS, RESULT_SECONDS

connection = Redis.from_url(REDIS)
queue = Queue("calls", connection=connection)

app = FastAPI()


async def submit(path: str, request: Request) -> JSONResponse:
    """Accept a call."""
    body = await request.body()
    job = queue.enqueue(call, f"/{path}", body.decode(), result_ttl=RESULT_SECONDS)
    return JSONResponse({"id": job.id}, 202, {"Location": f"/jobs/{job.id}"})


async def poll(name: str) -> JSONResponse:
    """Say how a call stands, and what was answered."""
    job = Job.fetch(name, connection=connection)
    state = job.get_status(refresh=False)
    if state == "finished":
        return JSONResponse({"id": name, "state": state, "result": job.return_value()})
    return JSONResponse({"id": name, "state": state}, 409)


app.get("/jobs/{name}")(poll)
app.post("/{path:path}")(submit)
