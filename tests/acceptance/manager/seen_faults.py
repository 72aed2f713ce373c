"""Ten faults, one after another in one running system: the overview tells each, and leads to a page that explains it.

`./scripts/dev.sh look` runs it. For each fault it leaves a picture of both pages in `build/faults`, as an operator sees
them at first, and what was told in `told.txt`: to be looked at. It takes minutes, so pytest does not collect it.
"""

import asyncio
import base64
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat
from tests.acceptance.http.browser import Browser, browser, is_installed
from tests.acceptance.manager import prometheus_alerts
from tests.acceptance.manager.callback_receiver import Receiver
from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram, environment
from tests.acceptance.manager.prometheus_alerts import one_range, start_on_ec2, submit
from tests.ec2.faults import CapacityLimit
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until
from workmanager.local.valkey_cluster import ValkeyCluster

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium and chromium-driver are not installed")

members, cloud = prometheus_alerts.members, prometheus_alerts.cloud

PICTURES = Path("build/faults")
LONG_SECONDS = 150.0
MEMORY_USED = 0.95
PAUSE_SECONDS = 8.0


class Operator:
    """Looks at the overview, and at the page that it leads to."""

    def __init__(self, tab: Browser, manager: ManagerProgram) -> None:
        self._tab, self._url, self._seen = tab, manager.url, 0
        tab.cdp("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
        tab.open(self._url)

    def finds(self, name: str, sentence: str, path: str = "") -> None:
        """Wait until the open overview tells the fault; take a picture of it, and of its page."""
        began = time.monotonic()
        until(lambda: sentence in self._tab.text, LONG_SECONDS, wanted=f"{sentence!r} in {self._tab.text[:2000]}")
        seconds = time.monotonic() - began
        self._seen += 1
        self.takes_picture(f"{self._seen:02}-{name}-overview")
        items = "[...document.querySelectorAll('.problems li')]"
        item = f"{items}.find((each) => each.innerText.includes({json.dumps(sentence)}))"
        with (PICTURES / "told.txt").open("a") as file:
            file.write(f"{name}, after {seconds:.0f} s: {self._tab.run(f'return {item}.innerText')}\n")
        if path:
            assert self._tab.run(f"return {item}.querySelector('a').getAttribute('href')").startswith(path)
            self._tab.run(f"{item}.querySelector('a').click()")
            self._tab.until(f"location.pathname.startsWith({json.dumps(path.partition('?')[0])})")
            self._tab.until("document.readyState === 'complete'")
            self.takes_picture(f"{self._seen:02}-{name}-page")
            self.opens("/")

    def opens(self, path: str) -> None:
        """Open a page."""
        self._tab.open(f"{self._url}{path}")

    def takes_picture(self, name: str) -> None:
        """Keep what the tab shows."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        picture = self._tab.cdp("Page.captureScreenshot", format="png")["data"]
        (PICTURES / f"{name}.png").write_bytes(base64.b64decode(picture))


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    """A browser."""
    with browser(tmp_path) as tab:
        yield tab


def test_ten_faults(members: ValkeyCluster, cloud: SimulatedCloud, start: Start, tab: Browser) -> None:
    manager = start_on_ec2(start, members, cloud, CALLBACK_ALLOW="127.0.0.1", PRICE_PER_HOUR="0.36")
    operator = Operator(tab, manager)
    with manager.client() as http, Receiver() as receiver:
        _of_jobs(operator, http, members, receiver)
        _of_ec2(operator, http, members, cloud)
        _of_schedules(operator, http, manager)
        _of_servers(operator, members)


def _of_jobs(operator: Operator, http: httpx.Client, members: ValkeyCluster, receiver: Receiver) -> None:
    hangs = WorkerRecord("hangs", "host", 1, ("reports",), 4, "", "")
    with _worker(members.url, "--queues", "default"), _listed(members.url, lambda: [hangs], running=0):
        refused = {"url": "http://127.0.0.1:1/"}
        submit(http, 5, function="http", kwargs=refused)
        operator.finds("failing-function", "function 'http' fails", "/dashboard/failures")
        receiver.stop()
        submit(http, 7, callback_url=receiver.url)
        (stuck, *_) = submit(http, 3, queue="reports")
        operator.finds("dead-receiver", "a receiver takes no callbacks", "/dashboard/callbacks?status=failing")
        operator.finds("stuck-queue", "queue 'reports' is stuck", "/dashboard/jobs?status=queued&queue=reports")
        operator.opens(f"/dashboard/jobs/{stuck}")
        operator.takes_picture("03-stuck-queue-job")
        operator.opens("/")


def _of_ec2(operator: Operator, http: httpx.Client, members: ValkeyCluster, cloud: SimulatedCloud) -> None:
    cloud.faults.capacity = [CapacityLimit()]
    http.put("/scaler/limits", json={"min_workers": 6}).raise_for_status()
    operator.finds("no-capacity", "InsufficientInstanceCapacity", "/dashboard/scaler")
    cloud.faults.capacity = []
    operator.finds("breaker", "launched instances never become workers", "/dashboard/scaler")
    http.put("/scaler/limits", json={"min_workers": 2, "max_workers": 2}).raise_for_status()
    with _listed(members.url, lambda: _workers_of_instances(http), running=1):
        waits = {"function": "sleep", "kwargs": {"seconds": 600}}
        submit(http, 20, **waits)
        operator.finds("reached-limit", "the maximum of 2 is reached", "/dashboard/scaler")
        with cloud.faults.hold("DescribeInstances", after_effect=False):
            operator.finds("stale-leader", "leads the scaler, but has decided nothing", "/dashboard/scaler")


def _of_schedules(operator: Operator, http: httpx.Client, manager: ManagerProgram) -> None:
    schedule = {"every": 1, "job": {"function": "noop", "feed": False}, "overlap": "allow"}
    http.put("/schedules/often", json=schedule).raise_for_status()
    until(lambda: http.get("/schedules/often").json()["runs"], wanted="a run")
    manager.process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    manager.process.send_signal(signal.SIGCONT)
    operator.finds("missed-schedule", "runs of schedules were missed", "/dashboard/schedules")
    http.delete("/schedules/often").raise_for_status()


def _of_servers(operator: Operator, members: ValkeyCluster) -> None:
    master, replica, _ = one_range(members)
    used = int(master.command("INFO", "memory")["used_memory"])
    master.command("CONFIG", "SET", "maxmemory", int(used / MEMORY_USED))
    operator.finds("full-memory", "of its memory")
    master.command("CONFIG", "SET", "maxmemory", 0)
    replica.kill()
    master.kill()
    operator.finds("dead-shard", "do not answer")


def _workers_of_instances(http: httpx.Client) -> list[WorkerRecord]:
    fleet = http.get("/scaler").raise_for_status().json()
    name = fleet["observation"]["fleet"]
    return [WorkerRecord(each["id"], "host", 1, ALL_QUEUES, 1, name, each["id"]) for each in fleet["instances"]]


@contextmanager
def _listed(redis_url: str, records: Callable[[], list[WorkerRecord]], *, running: int) -> Iterator[None]:
    """Keep these workers listed, which take no job."""
    ended = threading.Event()

    async def send() -> None:
        shards = await Shards.connect(redis_url)
        shard = next(iter(shards))
        while not ended.is_set():
            for record in await asyncio.to_thread(records):
                report = WorkerHeartbeat("busy" if running else "idle", running, 0, 0, 0.0)
                if not await send_worker_heartbeat(shard, record.name, report):
                    await register(shard, record)
            await asyncio.sleep(1)
        await shards.close()

    thread = threading.Thread(target=lambda: asyncio.run(send()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _worker(redis_url: str, *arguments: str) -> Iterator[None]:
    command = [sys.executable, "-m", "worker_node", "--redis-url", redis_url, "--slots", "4", *arguments]
    worker = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()
