"""With RQ: a client of Redis.

Run: PYTHONPATH=examples/from_rq/functions .venv/bin/python examples/from_rq/before.py
"""

import os
import time

from redis import Redis
from rq import Queue, Retry
from rq.serializers import JSONSerializer
from tasks import count_words

TEXTS = ["to be or not to be", "that is the question"]

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]), serializer=JSONSerializer)
jobs = [
    queue.enqueue(count_words, text, top=2, job_timeout=60, retry=Retry(max=3, interval=[10, 60])) for text in TEXTS
]
for job in jobs:
    while not (job.is_finished or job.is_failed):
        time.sleep(0.1)
    print(job.return_value())
