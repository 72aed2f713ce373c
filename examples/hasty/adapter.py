"""Hasty's API in front of workmanager: a job for an object, at most once in five minutes.

Run: .venv/bin/python -m uvicorn --app-dir examples/hasty adapter:app --port 8080
"""

import os
import random
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from workmanager.client import Client, ClientError, Conflict, NotFound, Unavailable

WINDOW_SECONDS = 300
TIMEOUT_SECONDS = int(os.environ.get("HASTY_TIMEOUT", "46"))
SHORTEST_SECONDS, LONGEST_SECONDS = map(float, os.environ.get("HASTY_SLEEP", "15-45").split("-"))
UNKNOWN_JOB_STATUS = int(os.environ.get("HASTY_UNKNOWN_JOB_STATUS", "400"))
"""Hasty answers 400, and would like to answer 404."""
FINISHED, RUNNING = {"finished"}, {"queued", "scheduled", "deferred", "started"}

client = Client.from_environment(retry_seconds=5)
app = FastAPI(title="Hasty")


class NewJob(BaseModel):
    object_id: str = Field(min_length=1, max_length=200)


async def read_body(request: Request) -> bytes:
    """Return the body as it is: Hasty does not ask for a content type."""
    return await request.body()


@app.post("/", status_code=HTTPStatus.CREATED)
def create_job(body: Annotated[bytes, Depends(read_body)]) -> dict[str, Any]:
    object_id = NewJob.model_validate_json(body).object_id
    job_id = client.submit(
        "sleep",
        kwargs={"seconds": random.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)},
        queue="hasty",
        timeout=TIMEOUT_SECONDS,
        unique={"key": f"hasty {object_id}", "within": WINDOW_SECONDS},
        meta={"object_id": object_id},
        feed=False,  # nobody pulls these results
    )
    return {"message": {"job_id": job_id}}


@app.get("/{job_id:path}")
def read_job(job_id: str) -> dict[str, Any]:
    job = client.job(job_id)
    meta = job["meta"] or {}
    if "object_id" not in meta:
        raise NotFound("another program's job", HTTPStatus.NOT_FOUND)
    shown = {
        "job_id": job["id"],
        "object_id": meta["object_id"],
        "status": _status(job["status"]),
        "timestamp": int(datetime.fromisoformat(job["created_at"]).timestamp()),
    }
    return {"message": shown}


def _status(status: str) -> str:
    if status in RUNNING:
        return "processing"
    return "finished" if status in FINISHED else "cancelled"


@app.exception_handler(HTTPException)
def refuse_request(_: Request, error: HTTPException) -> JSONResponse:
    return _error(error.status_code, error.detail)


@app.exception_handler(ValidationError)
def refuse_body(_: Request, error: ValidationError) -> JSONResponse:
    return _error(HTTPStatus.BAD_REQUEST, f'the body must be {{"object_id": "…"}}: {error.errors()[0]["msg"]}')


@app.exception_handler(ClientError)
def report_error(request: Request, error: ClientError) -> JSONResponse:
    if isinstance(error, Conflict):
        seconds = int(error.retry_after_seconds or WINDOW_SECONDS)
        text = "you need to wait 5 minutes before rerunning the same job"
        return _error(HTTPStatus.BAD_REQUEST, text, {"Retry-After": str(seconds)})
    if isinstance(error, NotFound) and request.method == "GET":
        return _error(UNKNOWN_JOB_STATUS, f"no job with id: {request.path_params['job_id']}")
    if isinstance(error, Unavailable):
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"the job queue is away: {error}", {"Retry-After": "5"})
    return _error(HTTPStatus.BAD_GATEWAY, f"the job queue refused this: {error}")


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"message": text}, status, headers)
