"""A client of Queue & Work Management, unchanged: it knows two nodes, and nothing of workmanager.

Run: .venv/bin/python examples/queue_work_management/client.py FILE... [--iterations N] [--nodes URL,URL]
"""

import argparse
import itertools
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

GIVE_UP_SECONDS = 60


class Nodes:
    """The two nodes, of which either does: each request goes to the next one, and on to the other if that is down."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = itertools.cycle(urls)

    def send(self, method: str, path: str, data: bytes | None = None) -> Any:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            request = urllib.request.Request(next(self._urls) + path, data, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except (urllib.error.URLError, ConnectionError) as error:
                refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if refused or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--nodes", default="http://127.0.0.1:5000,http://127.0.0.1:5001")
    options = parser.parse_args()
    nodes = Nodes(options.nodes.split(","))
    waiting = {}
    for file in options.files:
        answer = nodes.send("PUT", f"/enqueue?iterations={options.iterations}", file.read_bytes())
        waiting[answer["Work ID"]] = file
    while waiting:
        for completed in nodes.send("POST", f"/pullCompleted?top={len(waiting)}"):
            if file := waiting.pop(completed["Work ID"], None):
                print(completed["Value"], file)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
