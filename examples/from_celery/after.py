"""With workmanager: functions are called by their names, and the options stand at the call.

Run: .venv/bin/python examples/from_celery/after.py
"""

from typing import Any

from workmanager.client import Client

OPTIONS: Any = {"retry": {"max": 3, "intervals": [10]}, "timeout": 60}

with Client.from_environment() as client:
    print(client.handle(client.submit("texts.measure", args=["hello"], **OPTIONS)).result(timeout_seconds=30))
    print(list(client.map("texts.measure", ["a", "bb", "ccc"], **OPTIONS)))
    workflow = client.submit_workflow(
        {
            **{text: {"function": "texts.measure", "args": [text], **OPTIONS} for text in ("a", "bb", "ccc")},
            "total": {"function": "texts.total", "depends_on": ["a", "bb", "ccc"]},
        }
    )
    print(client.handle(workflow["jobs"]["total"]).result())
    client.submit("texts.measure", args=["later"], delay=60, queue="slow", **OPTIONS)
