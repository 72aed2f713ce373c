"""The same endpoint as commonly built with FastAPI and `rq.Queue.enqueue`, for the benchmarks.

uvicorn serves it; FASTAPI_RQ_APP_URL is the Redis URL.
"""

import os

import redis
import rq
from fastapi import FastAPI, Request

app = FastAPI()
queue = rq.Queue("default", connection=redis.Redis.from_url(os.environ["FASTAPI_RQ_APP_URL"]))


@app.put("/enqueue")
async def enqueue(request: Request, iterations: int) -> dict[str, str]:
    """Store the job, then answer. As a plain `def`, which FastAPI runs in a thread, it is slower."""
    data = await request.body()
    job = queue.enqueue("hashing.sha512", data=data, iterations=iterations, result_ttl=604800, job_timeout=3600)
    return {"Work ID": job.id}
