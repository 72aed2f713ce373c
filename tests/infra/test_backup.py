"""Backups of append-only files that are being written to, and what comes of them."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import redis

from workmanager.valkey import ValkeyServer

ROOT = Path(__file__).parents[2]
AWS = """#!/bin/bash
# aws s3 cp --recursive --only-show-errors FROM TO, where a bucket is a directory
mkdir -p "${6#s3:/}"
exec cp -r "$5/." "${6#s3:/}"
"""


def test_a_backup_taken_while_jobs_come_in_has_all_that_were_there_before_it(tmp_path: Path) -> None:
    stores, bucket = tmp_path / "stores", tmp_path / "bucket"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/aws").write_text(AWS)
    (tmp_path / "bin/aws").chmod(0o755)
    # Rewritten all the time, which is what a copy may not mix up.
    server = ValkeyServer(stores / "6379", settings={"auto-aof-rewrite-min-size": "1", "appendfsync": "always"})
    server.start()
    writing, ending = threading.Event(), threading.Event()
    writer = threading.Thread(target=_write, args=(server.url, writing, ending))
    writer.start()
    try:
        writing.wait()
        with redis.Redis.from_url(server.url) as connection:
            before = int(connection.get("last"))  # type: ignore[arg-type]  # the synchronous client's answer
        subprocess.run(
            ["bash", str(ROOT / "infra/host/backup.sh")],
            env={
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "BACKUPS": f"s3:/{bucket}",
                "STORES_DIRECTORY": str(stores),
            },
            check=True,
            timeout=60,
        )
    finally:
        ending.set()
        writer.join()
        server.kill()
    assert [path.name for path in stores.iterdir()] == ["6379"]

    (copy,) = bucket.glob("*/6379")
    restored = ValkeyServer(copy)
    restored.start()
    try:
        with redis.Redis.from_url(restored.url) as connection:
            assert connection.dbsize() >= before
            last = int(connection.get("last"))  # type: ignore[arg-type]  # the synchronous client's answer
            assert last >= before
            assert all(connection.exists(f"job:{number}") for number in range(last))
    finally:
        restored.kill()


def _write(url: str, writing: threading.Event, ending: threading.Event) -> None:
    with redis.Redis.from_url(url) as connection:
        number = 0
        while not ending.is_set():
            connection.set(f"job:{number}", "x" * 100)
            number += 1
            connection.set("last", number)
            if number == 500:
                connection.bgrewriteaof()
                writing.set()
