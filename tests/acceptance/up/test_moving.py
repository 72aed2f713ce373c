"""The pages for those who move here: what runs here prints what the page says."""

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.up.pages import README, ROOT, ReadersSystem, example
from tests.ports import pick_port
from tests.waiting import until

PAGES = ROOT / "docs/moving"
AFTER, WORKER, CLIENT = "After", "After: the worker", "After: the client"
MODULES = {
    "texts": (README, "Your own functions"),
    "lengths": (PAGES / "celery.md", WORKER),
    "orders": (PAGES / "sqs.md", WORKER),
    "tiles": (PAGES / "aws-batch.md", "After: the functions"),
}
SERVICE_PORT = pick_port()

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadersSystem]:
    system = ReadersSystem(tmp_path_factory.mktemp("moving") / "run", MODULES)
    try:
        system.start(WORKMANAGER_HTTP_ALLOW=f"127.0.0.1:{SERVICE_PORT}")
        system.up.wait_until_ready()
        yield system
    finally:
        system.up.kill_all()


def test_from_rq(system: ReadersSystem) -> None:
    assert system.run_python(example(PAGES / "rq.md", AFTER, "python")) == ["{'to': 2, 'be': 2, 'or': 1}"]


def test_from_celery(system: ReadersSystem) -> None:
    assert system.run_python(example(PAGES / "celery.md", CLIENT, "python")) == ["5", "6"]


def test_from_sqs(system: ReadersSystem) -> None:
    printed = system.run_python(example(PAGES / "sqs.md", CLIENT, "python", "submit"))
    assert sorted(printed) == [f"order-{number} order {number} is on its way to ulm" for number in (7, 8)]
    (counts,) = system.run_python(example(PAGES / "sqs.md", CLIENT, "python", "pull"))
    pulled, acknowledged = map(int, counts.split())
    assert pulled == acknowledged >= 2


def test_from_aws_batch(system: ReadersSystem) -> None:
    page = PAGES / "aws-batch.md"
    lines = system.run(example(page, "After: submit", "sh"))
    assert lines[:4] == ["tile-0", "tile-1", "tile-2", "tile-3"]
    assert ["result:", "14"] in [line.split() for line in lines]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_from_bullmq(system: ReadersSystem) -> None:
    page = PAGES / "bullmq.md"
    with subprocess.Popen(_node(system, example(page, WORKER, "js"))) as service:
        try:
            until(_service_answers, wanted="the service")
            client = _node(system, example(page, CLIENT, "js"))
            done = subprocess.run(client, capture_output=True, text=True, check=False, timeout=60)
            assert (done.stdout, done.stderr) == ("finished { pages: 84 }\n", "")
        finally:
            service.kill()


def _node(system: ReadersSystem, text: str) -> list[str]:
    text = text.replace("8090", str(SERVICE_PORT)).replace("http://127.0.0.1:5000", system.up.urls[0])
    return ["node", "--input-type=module", "--eval", text]


def _service_answers() -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", SERVICE_PORT)) == 0
