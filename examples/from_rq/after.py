"""With workmanager: a client of its managers, over HTTP.

Run: .venv/bin/python examples/from_rq/after.py
"""

from workmanager.client import Client

TEXTS = ["to be or not to be", "that is the question"]

with Client.from_environment() as client:
    jobs = [
        client.handle(
            client.submit(
                "tasks.count_words",
                args=[text],
                kwargs={"top": 2},
                timeout=60,
                retry={"max": 3, "intervals": [10, 60]},
            )
        )
        for text in TEXTS
    ]
    for job in jobs:
        print(job.result())
