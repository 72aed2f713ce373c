"""The Job Queue Management System's API in front of workmanager: each job is a call of an external HTTP service.

Run: .venv/bin/python -m uvicorn --app-dir examples/job_queue_management adapter:app --port 8080
"""

import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import yaml
from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from workmanager.client import Client, ClientError, Unavailable, UsageError

CONFIG = yaml.safe_load(Path(os.environ.get("JOB_QUEUE_CONFIG", Path(__file__).with_name("config.yaml"))).read_text())
QUEUE = CONFIG["queue"]
STATUSES = {
    "pending": ["queued", "scheduled"],  # scheduled: it waits for its next attempt
    "processing": ["started"],
    "completed": ["finished"],
    "failed": ["failed", "stopped", "canceled"],
}

log = logging.getLogger("uvicorn.error")
client = Client.from_environment(retry_seconds=5)
app = FastAPI(title="Job Queue Management System")


@app.middleware("http")
async def log_duration(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    began = time.monotonic()
    answer = await call_next(request)
    milliseconds = (time.monotonic() - began) * 1000
    log.info("%s %s %d %.1f ms", request.method, request.url.path, answer.status_code, milliseconds)
    return answer


@app.post("/addJob")
def add_job(payload: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
    """Queue a call of the service with this body; return its id."""
    job_id = client.submit(
        "http",
        kwargs={"url": CONFIG["service"]["url"], "json": payload, "timeout": CONFIG["service"]["timeout"]},
        queue=QUEUE,
        retry={"max": CONFIG["retries"]["max"], "intervals": CONFIG["retries"]["intervals"]},
        feed=False,  # nobody pulls these results
    )
    return {"id": job_id}


@app.get("/status")
def list_jobs(status: str | None = None, limit: Annotated[int, Query(ge=0, le=10_000)] = 100) -> dict[str, Any]:
    """Return how many jobs have each status, and the jobs themselves, up to `limit` of a status."""
    if status is not None and status not in STATUSES:
        raise UsageError(f"status must be one of {', '.join(STATUSES)}")
    asked = STATUSES if status is None else {status: STATUSES[status]}
    counts = next((queue for queue in client.queues() if queue["name"] == QUEUE), {})
    return {
        name: {
            "count": sum(counts.get(state, 0) for state in states),
            "jobs": [_view(job) for job in itertools.islice(_jobs(states), limit)],
        }
        for name, states in asked.items()
    }


def _jobs(states: list[str]) -> itertools.chain[dict[str, Any]]:
    return itertools.chain.from_iterable(client.jobs(status=state, queue=QUEUE) for state in states)


def _view(job: dict[str, Any]) -> dict[str, Any]:
    fields = ("id", "attempts", "created_at", "started_at", "ended_at", "error")
    return {field: job[field] for field in fields}


@app.exception_handler(RequestValidationError)
def refuse_request(_: Request, error: RequestValidationError) -> JSONResponse:
    """Answer as FastAPI does, without the input: it can be text that cannot be written."""
    details = [{name: part[name] for name in ("type", "loc", "msg")} for part in error.errors()]
    return JSONResponse({"detail": details}, HTTPStatus.UNPROCESSABLE_ENTITY)


@app.exception_handler(UsageError)
def refuse_value(_: Request, error: UsageError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)


@app.exception_handler(ClientError)
def report_error(_: Request, error: ClientError) -> JSONResponse:
    if isinstance(error, Unavailable):
        return JSONResponse({"detail": f"the job queue is away: {error}"}, 503, {"Retry-After": "5"})
    return JSONResponse({"detail": f"the job queue refused this: {error}"}, HTTPStatus.BAD_GATEWAY)
