"""A fake `python -m manager`, for tests of the program that starts and stops managers.

It answers `/readyz`, and appends a line to the file `notes-PORT` in its working directory when it starts and when it
ends, with whether Redis answers then. FAKE_MANAGER changes it: `refuse` exits with 2, `deaf` ignores SIGTERM, `leave a
worker` starts a second process that stands for a worker.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

parser = argparse.ArgumentParser()
for name in ("--host", "--port", "--scaler", "--parent-fd", "--role"):
    parser.add_argument(name)
options = parser.parse_args()
behaviour = os.environ.get("FAKE_MANAGER", "")


def note(text: str) -> None:
    url = urlsplit(os.environ["WORKMANAGER_REDIS_URL"].split(",")[0])
    try:
        with redis.Redis(port=url.port or 0, retry=Retry(NoBackoff(), 0)) as client:
            redis_state = "Redis answers" if client.ping() else ""
    except redis.RedisError:
        redis_state = "Redis is gone"
    with Path(f"notes-{options.port}").open("a") as notes:
        notes.write(f"{text}, {redis_state}\n")


def end(text: str) -> None:
    try:
        note(text)
    finally:
        os._exit(0)


def end_with_parent() -> None:
    os.read(int(options.parent_fd), 1)
    time.sleep(0.5)  # as if it released its jobs
    end(f"{options.role or 'manager'} saw its parent end")


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


if behaviour == "refuse":
    sys.exit(2)
threading.Thread(target=end_with_parent, daemon=True).start()
if options.role == "worker":
    signal.pause()
if behaviour == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: end("manager got SIGTERM"))
note(f"max workers {os.environ.get('WORKMANAGER_MAX_WORKERS')}, scaler {options.scaler}")
if behaviour == "leave a worker":
    subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:], "--role", "worker"],
        pass_fds=[int(options.parent_fd)],
        start_new_session=True,
    )
HTTPServer((options.host, int(options.port)), Answer).serve_forever()
