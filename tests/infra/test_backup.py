"""Backups of append-only files while a server writes to them."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import redis

from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

ROOT = Path(__file__).parents[2]
AWS = """#!/bin/bash
# aws s3 cp --recursive --only-show-errors FROM TO, where a bucket is a directory
mkdir -p "${6#s3:/}"
exec cp -r "$5/." "${6#s3:/}"
"""
# The first time, wait with the copy after the manifest until the server has rewritten the files.
CP = """#!/bin/bash
if [ ! -e "$STEPS/begun" ]; then
    mkdir -p "${!#}/appendonlydir"
    "$CP" --archive "${@: -2:1}"/*.manifest "${!#}/appendonlydir"
    touch "$STEPS/begun"
    until [ -e "$STEPS/rewritten" ]; do sleep 0.02; done
    exec "$CP" --no-clobber "$@"
fi
exec "$CP" "$@"
"""


def test_a_backup_during_a_rewrite_has_all_earlier_jobs(tmp_path: Path) -> None:
    stores, bucket = tmp_path / "stores", tmp_path / "bucket"
    (tmp_path / "bin").mkdir()
    for name, program in (("aws", AWS), ("cp", CP)):
        (tmp_path / "bin" / name).write_text(program)
        (tmp_path / "bin" / name).chmod(0o755)
    server = ValkeyServer(stores / "6379", settings={"appendfsync": "always"})
    server.start()
    writing, stopping = threading.Event(), threading.Event()
    writer = threading.Thread(target=_write, args=(server.url, writing, stopping))
    writer.start()
    try:
        assert writing.wait(60)
        with redis.Redis.from_url(server.url) as connection:
            before = int(connection.get("last"))  # type: ignore[arg-type]  # the synchronous client's answer
            backup = subprocess.Popen(
                ["bash", str(ROOT / "infra/host/backup.sh")],
                env={
                    **os.environ,
                    "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                    "CP": shutil.which("cp") or "",
                    "STEPS": str(tmp_path),
                    "BACKUPS": f"s3:/{bucket}",
                    "HOST": "manager-a",
                    "STORES_DIRECTORY": str(stores),
                },
                stderr=subprocess.PIPE,
                text=True,
            )
            until((tmp_path / "begun").exists, wanted="the start of the copy")
            (manifest,) = (stores / "6379").glob("*/*.manifest")
            earlier = manifest.read_text()
            connection.bgrewriteaof()
            until(lambda: connection.info("persistence")["aof_rewrite_in_progress"] == 0, wanted="the rewrite")
            assert manifest.read_text() != earlier
            (tmp_path / "rewritten").touch()
            errors = backup.communicate(timeout=60)[1]
    finally:
        stopping.set()
        writer.join()
        server.kill()
    assert backup.returncode == 0, errors
    assert "event=backup_retried" in errors
    assert sorted(path.name for path in stores.iterdir()) == ["6379", "backup.day", "backup.succeeded"]

    (copy,) = bucket.glob("daily/manager-a/*/6379")
    restored = ValkeyServer(copy)
    restored.start()
    try:
        with redis.Redis.from_url(restored.url) as connection:
            last = int(connection.get("last"))  # type: ignore[arg-type]  # the synchronous client's answer
            assert last >= before
            assert all(connection.exists(f"job:{number}") for number in range(last))
    finally:
        restored.kill()


def _write(url: str, writing: threading.Event, stopping: threading.Event) -> None:
    with redis.Redis.from_url(url) as connection:
        number = 0
        while not stopping.is_set():
            connection.set(f"job:{number}", "x" * 100)
            number += 1
            connection.set("last", number)
            if number == 500:
                writing.set()
