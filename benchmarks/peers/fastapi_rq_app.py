"""The same endpoint as people build it: FastAPI and `rq.Queue.enqueue`; served by uvicorn with the variables
FASTAPI_RQ_APP_URL (the server) set.
"""

import os

import redis
import rq
from fastapi import FastAPI, Request

app = FastAPI()
queue = rq.Queue("default", connection=redis.Redis.from_url(os.environ["FASTAPI_RQ_APP_URL"]))


@app.put("/enqueue")
async def enqueue(request: Request, iterations: int) -> dict[str, str]:
    """Stores the job before it answers. In a thread of its own (`def`) the same takes longer."""
    data = await request.body()
    job = queue.enqueue("hashing.sha512", data=data, iterations=iterations, result_ttl=604800, job_timeout=3600)
    return {"Work ID": job.id}
