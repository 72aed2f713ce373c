"""curl's ways to send a request: versions of HTTP, offers, forms, streams, encodings."""

import base64
import gzip
import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.http.proxies import find
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

pytestmark = pytest.mark.skipif(not find("curl"), reason="curl is not installed")

DATA = b"PUT /enqueue?iterations=1 HTTP/1.1\r\n\r\n" * 5000
"""About 200 kB that look like requests."""
JSON = "Content-Type: application/json"


def curl(url: str, *options: str, data: bytes | None = None) -> tuple[int, str, str]:
    """Return the status, the version of HTTP, and the body of the answer."""
    command = [
        find("curl"),
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--write-out",
        "\n%{http_code} %{http_version}",
    ]
    ended = subprocess.run([*command, *options, url], input=data, capture_output=True, check=False, timeout=90)
    assert ended.returncode == 0, ended.stderr.decode()
    body, _, last = ended.stdout.decode().rpartition("\n")
    status, version = last.split()
    return int(status), version, body


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """A file with `DATA`."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize(
    "options",
    [
        ["--data-binary", "@FILE", "-X", "PUT"],
        ["--data-binary", "@FILE", "-X", "PUT", "--http1.0"],
        ["--data-binary", "@FILE", "-X", "PUT", "--http2"],
        ["--data-binary", "@FILE", "-X", "PUT", "--http2", "-H", "Transfer-Encoding: chunked"],
        ["--data-binary", "@FILE", "-X", "PUT", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket"],
        ["--upload-file", "FILE"],
        ["--upload-file", "-"],
        ["--upload-file", "FILE", "--http1.0"],
        ["--upload-file", "FILE", "-H", "Expect: 100-continue", "--expect100-timeout", "50"],
        ["--upload-file", "FILE", "-H", "Expect: 100-continue", "--http1.0"],
        ["--upload-file", "FILE", "-H", "Expect:"],
        ["--form", "data=@FILE", "-X", "PUT"],
        ["--form", "data=@FILE", "-X", "PUT", "--http2"],
        ["--form", "data=@FILE", "-X", "PUT", "-H", "Transfer-Encoding: chunked"],
        ["--form", "data=@FILE", "-X", "PUT", "-H", "Expect: 100-continue", "--expect100-timeout", "50"],
        ["--form", "data=<FILE;type=text/plain", "-X", "PUT"],
        ["--data-binary", "@FILE", "-X", "PUT", "--no-keepalive"],
        ["--data-binary", "@FILE", "-X", "PUT", "--request-target", "http://localhost/enqueue?iterations=1"],
        ["--data-binary", "@FILE", "-X", "PUT", "-H", "TE: trailers", "--tr-encoding", "--compressed"],
        ["--data-binary", "@FILE", "-X", "PUT", "--tcp-fastopen"],
    ],
    ids=" ".join,
)
def test_every_way_to_send_data_hashes_the_data(
    manager: ManagerProgram, server: ValkeyServer, data_file: Path, options: list[str]
) -> None:
    arguments = [option.replace("FILE", str(data_file)) for option in options]
    status, _, body = curl(f"{manager.url}/enqueue?iterations=1", *arguments, data=DATA)
    assert status == 200, body
    work_id = json.loads(body)["Work ID"]
    (stored,) = server.command("HMGET", f"rq:job:{work_id}", "data")
    assert _payload(stored) == DATA


def test_compressed_data_is_hashed_uncompressed(manager: ManagerProgram, server: ValkeyServer) -> None:
    options = ["-X", "PUT", "--data-binary", "@-", "-H", "Content-Encoding: gzip"]
    status, _, body = curl(f"{manager.url}/enqueue?iterations=1", *options, data=gzip.compress(DATA))
    assert status == 200
    (stored,) = server.command("HMGET", f"rq:job:{json.loads(body)['Work ID']}", "data")
    assert _payload(stored) == DATA
    for bomb in (gzip.compress(bytes(64 << 20)), gzip.compress(bytes((1 << 20) + 1))):
        assert curl(f"{manager.url}/enqueue?iterations=1", *options, data=bomb)[0] == 413
    options[-1] = "Content-Encoding: br"
    assert curl(f"{manager.url}/enqueue?iterations=1", *options, data=b"x")[0] == 415


def test_json_may_begin_with_a_byte_order_mark_and_be_compressed(manager: ManagerProgram) -> None:
    text = b'\xef\xbb\xbf{"function": "noop"}'
    assert curl(f"{manager.url}/jobs", "-H", JSON, "--data-binary", "@-", data=text)[0] == 201
    options = ["-H", JSON, "-H", "Content-Encoding: gzip", "--data-binary", "@-"]
    assert curl(f"{manager.url}/jobs", *options, data=gzip.compress(text))[0] == 201
    options = ["-H", "Content-Type: application/x-ndjson", "--data-binary", "@-"]
    status, _, body = curl(f"{manager.url}/jobs/batch", *options, data=text + b"\n" + text)
    assert status == 200
    assert ["id" in json.loads(line) for line in body.splitlines()] == [True, True]
    assert curl(f"{manager.url}/ackCompleted", "-H", JSON, "--data-binary", '\ufeff{"ids": []}')[0] == 200


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_json_needs_its_media_type(manager: ManagerProgram, media_type: str) -> None:
    for path in ("/jobs", "/jobs/batch", "/ackCompleted"):
        options = ["-X", "POST", "-H", f"Content-Type:{media_type}", "--data-binary", '{"function": "noop"}']
        status, _, body = curl(manager.url + path, *options)
        assert status == 415, body


def test_two_requests_share_a_connection_after_an_offer(manager: ManagerProgram) -> None:
    url = f"{manager.url}/enqueue?iterations=1"
    options = ["--http2", "-X", "PUT", "--data-binary", "x", "-w", "%{num_connects}", url]
    ended = subprocess.run([find("curl"), "-s", *options, "--next", *options], capture_output=True, check=True)
    assert ended.stdout.endswith(b"}0")


def test_other_methods_and_versions_are_answered(manager: ManagerProgram) -> None:
    assert curl(f"{manager.url}/status", "--head")[0] == 200
    assert curl(f"{manager.url}/status", "-X", "OPTIONS")[0] == 405
    assert curl(manager.url, "-X", "OPTIONS", "--request-target", "*")[0] == 204
    assert curl(f"{manager.url}/status", "-X", "TRACE")[0] == 405
    assert curl(f"{manager.url}/status", "-X", "BREW")[0] == 501
    assert curl(f"{manager.url}/status/", "--path-as-is")[0] == 404
    assert curl(f"{manager.url}/jobs/%zz")[0] == 400
    assert curl(f"{manager.url}/jobs/{'x' * 20_000}")[0] == 414
    assert curl(f"{manager.url}/status", "-H", "A: " + "x" * 70_000)[0] == 431
    ended = subprocess.run(
        [find("curl"), "-s", "--http2-prior-knowledge", f"{manager.url}/status"], capture_output=True, check=False
    )
    assert ended.returncode != 0
    until(lambda: "status=505" in manager.log, wanted="the refusal in the log")


def _payload(stored: str) -> bytes:
    """Return the data in a job's field `data`."""
    return base64.b64decode(json.loads(stored)[3]["data"])
