"""The Job Processing API in front of workmanager: clients queue messages, one consumer takes the last one first.

Run: .venv/bin/python -m uvicorn --app-dir examples/job_processing_api adapter:app --port 8080
"""

import functools
import os
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from workmanager.client import Client, ClientError, NotFound, Unavailable, UsageError

URLS = os.environ.get("WORKMANAGER_URL", "http://127.0.0.1:5000").split(",")
FUNCTION = os.environ.get("MESSAGE_FUNCTION", "noop")
QUEUE = "messages"

app = FastAPI(title="Job Processing API")
bearer = HTTPBearer(auto_error=False, description="Scopes: jobs:write to queue messages, jobs:read to read them")


class Message(BaseModel):
    message: Any = Field(description="any JSON value")


@functools.lru_cache(maxsize=256)
def client_for(token: str | None) -> Client:
    """Return a client with the caller's own token: the managers check it and its scopes."""
    return Client(URLS, token, retry_seconds=5)


def caller(sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Client:
    return client_for(sent.credentials if sent else None)


Caller = Annotated[Client, Depends(caller)]


@app.post("/messages", status_code=HTTPStatus.CREATED)
def queue_message(body: Message, client: Caller) -> dict[str, str]:
    message_id = client.submit(
        FUNCTION,
        kwargs={"message": body.message},
        queue=QUEUE,
        order="lifo",
        limits=[{"key": QUEUE, "concurrency": 1}],  # the one consumer
        feed=False,
    )
    return {"id": message_id}


@app.get("/messages/{message_id:path}")
def read_message(message_id: str, client: Caller) -> dict[str, Any]:
    job = client.job(message_id)
    if job["queue"] != QUEUE:
        raise NotFound(f"there is no message with the id {message_id!r}", HTTPStatus.NOT_FOUND)
    fields = {field: job[field] for field in ("id", "status", "result", "created_at", "started_at", "ended_at")}
    return {"message": (job["kwargs"] or {}).get("message"), **fields}


@app.get("/metrics")
def metrics(client: Caller) -> PlainTextResponse:
    return PlainTextResponse(client.system.metrics(), media_type="text/plain; version=0.0.4")


@app.exception_handler(HTTPException)
def refuse_request(_: Request, error: HTTPException) -> JSONResponse:
    return _error(error.status_code, error.detail)


@app.exception_handler(UsageError)
@app.exception_handler(RequestValidationError)
def refuse_value(_: Request, error: UsageError | RequestValidationError) -> JSONResponse:
    return _error(HTTPStatus.BAD_REQUEST, str(error) if isinstance(error, UsageError) else error.errors()[0]["msg"])


@app.exception_handler(ClientError)
def report_error(_: Request, error: ClientError) -> JSONResponse:
    if isinstance(error, Unavailable):
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"the job queue is away: {error}")
    return _error(error.status or HTTPStatus.BAD_GATEWAY, str(error))


def _error(status: int, text: str) -> JSONResponse:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}
    return JSONResponse({"error": text}, status, headers.get(status))
