"""The HttpRequest Processor's API in front of workmanager: heavy jobs in the background, with a webhook at their end.

Run: .venv/bin/python -m uvicorn --app-dir examples/http_request_processor adapter:app --port 8080
"""

import os
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, BaseModel, Field
from starlette.exceptions import HTTPException

from workmanager.client import Client, ClientError, NotFound, Unavailable, UsageError

FUNCTION = os.environ.get("PROCESSOR_FUNCTION", "sleep")
MAX_JOBS = int(os.environ.get("PROCESSOR_MAX_JOBS", "8"))
DEFAULT_TIMEOUT_SECONDS = int(os.environ.get("PROCESSOR_TIMEOUT", "3600"))
QUEUE = "http-requests"
STATUSES = {  # of jobs that have not failed
    "queued": "NOT_STARTED",
    "scheduled": "NOT_STARTED",
    "deferred": "NOT_STARTED",
    "started": "STARTED",
    "finished": "FINISHED_SUCCESS",
}

client = Client.from_environment(retry_seconds=5)
app = FastAPI(title="HttpRequest Processor", docs_url="/swagger", openapi_url="/swagger/v1/swagger.json")


class JobRequest(BaseModel):
    """A heavy job: the arguments of the function, whom to tell of its end, and how long it may run."""

    parameters: dict[str, Any] = {}
    callback_url: str | None = Field(None, validation_alias=AliasChoices("callback_url", "callbackUrl"))
    timeout: int = Field(DEFAULT_TIMEOUT_SECONDS, ge=1, le=31_536_000, description="seconds")


class JobState(BaseModel):
    jobId: str  # noqa: N815 - .NET's JSON has camel case
    status: str
    error: str | None = None


@app.post("/submit-job", status_code=HTTPStatus.ACCEPTED)
def submit_job(request: JobRequest) -> JobState:
    job_id = client.submit(
        FUNCTION,
        kwargs=request.parameters,
        queue=QUEUE,
        timeout=request.timeout,
        limits=[{"key": QUEUE, "concurrency": MAX_JOBS}],
        feed=False,  # nobody pulls these results
        callback={"url": request.callback_url, "include": ["result"]} if request.callback_url else None,
    )
    return JobState(jobId=job_id, status="NOT_STARTED")


@app.get("/check-job-status")
@app.get("/check-job-status/{job_id:path}")
def check_job_status(job_id: str) -> JobState:
    job = client.job(job_id)
    if job["queue"] != QUEUE:
        raise NotFound(f"there is no job with the id {job_id!r}", HTTPStatus.NOT_FOUND)
    error = job["error"] or {}
    ended = "FINISHED_TIMEOUT" if error.get("reason") == "timeout" else "FINISHED_FAILED"
    return JobState(jobId=job["id"], status=STATUSES.get(job["status"], ended), error=error.get("message"))


@app.exception_handler(RequestValidationError)
def refuse_body(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    return _problem(HTTPStatus.BAD_REQUEST, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


@app.exception_handler(HTTPException)
def refuse_request(_: Request, error: HTTPException) -> JSONResponse:
    return _problem(error.status_code, error.detail)


@app.exception_handler(UsageError)
def refuse_value(_: Request, error: UsageError) -> JSONResponse:
    return _problem(HTTPStatus.BAD_REQUEST, str(error))


@app.exception_handler(ClientError)
def report_error(_: Request, error: ClientError) -> JSONResponse:
    if isinstance(error, Unavailable):
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the job queue is away: {error}", {"Retry-After": "5"})
    if isinstance(error, NotFound):
        return _problem(HTTPStatus.NOT_FOUND, str(error))
    return _problem(HTTPStatus.BAD_REQUEST if error.status in (400, 413, 422) else HTTPStatus.BAD_GATEWAY, str(error))


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
