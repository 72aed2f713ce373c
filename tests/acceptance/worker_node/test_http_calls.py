"""Jobs that call services: from a real worker, and on a network with public addresses and a name server of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.ec2.network import unavailable_reason
from worker_node.functions import HTTP_ALLOW

CALLER = Path(__file__).with_name("http_caller.py")


class _Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def _call(url: str) -> bytes:
    return json.dumps(["worker_node.functions.http", None, [], {"url": url}]).encode()


async def test_a_worker_calls_this_machine_only_if_its_setting_says_so(
    client: Client, start_worker: MakeWorker, service: str
) -> None:
    worker = start_worker(client.url)
    refused = await client.wait_until_ended(await client.enqueue("http", data=_call(service), retries=3))
    assert refused.status == "failed"
    assert refused.attempts == 1
    assert refused.error is not None
    assert f"add {service[7:-1]} to {HTTP_ALLOW}" in refused.error.message
    worker.terminate()
    start_worker(client.url, HTTP_ALLOW="127.0.0.1, 10.0.0.0/8")
    assert (await client.value(await client.enqueue("http", data=_call(service))))["body"] == "hello"


def test_a_worker_refuses_a_wrong_setting(client: Client, start_worker: MakeWorker) -> None:
    worker = start_worker(client.url, HTTP_ALLOW="http://localhost")
    assert worker.wait() == 2
    assert worker.log_text.count("\n") == 1
    assert f"{HTTP_ALLOW}: Value error, 'http://localhost' is a URL" in worker.log_text


@pytest.mark.skipif(bool(unavailable_reason()), reason=unavailable_reason())
def test_only_public_addresses_are_called_whatever_a_name_server_answers(tmp_path: Path) -> None:
    """The network has real addresses, the names a real server. See `http_caller.py` for what is called."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
    commands = (
        f"mount --bind {tmp_path / 'resolv.conf'} /etc/resolv.conf && ip link set lo up && {sys.executable} {CALLER}"
    )
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", commands], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "public": "hello from 93.184.216.34",
        "public6": "hello from 2606:2800:220:1::1",
        "both": "hello from 2606:2800:220:1::1",
        "nat64": "hello from 64:ff9b::5db8:d822",
        "rebinding, first": "hello from 93.184.216.34",
        "rebinding, later": "refused",
        "mixed": "refused",
        "private": "refused",
        "loopback": "refused",
        "metadata": "refused",
        "metadata6": "refused",
        "nat64 of metadata": "refused",
        "link-local": "refused",
        "carrier-grade nat": "refused",
        "requests inside": 0,
    }
