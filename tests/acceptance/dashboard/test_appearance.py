"""What pages look like in a real browser: on a phone, with long names, in another language, in forced colours."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import NewJob
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat
from scaler.state.leader_election import LeaderElector
from tests.acceptance.dashboard.test_in_browser import PAGES
from tests.acceptance.dashboard.test_pages import submit
from tests.acceptance.http.browser import Browser, is_installed
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

pytestmark = pytest.mark.skipif(
    not is_installed(), reason="chromium and chromium-driver are not installed: tests/acceptance/http/peers.sh does it"
)

PHONE, LAPTOP = 360, 1366
MAX_PAGE_BYTES = 100_000
MAX_READABLE_MS = 1_000
LONG_QUEUE = "queue-with-a-long-name-" * 8
HOST = "ip-10-123-234-123.eu-central-1.compute.internal"
BROKEN_WORDS = """
    const broken = [];
    for (const element of document.querySelectorAll('main *')) {
        if (element.closest('.unseen, svg, details:not([open]) > :not(summary)')) continue;
        for (const node of element.childNodes) {
            if (node.nodeType !== Node.TEXT_NODE) continue;
            // Longer ones are names, which may be broken; hyphens and slashes are places to break.
            for (const word of node.data.matchAll(/[^\\s/-]+/g)) {
                const range = document.createRange();
                range.setStart(node, word.index);
                range.setEnd(node, word.index + word[0].length);
                const lines = new Set([...range.getClientRects()].map((each) => Math.round(each.top)));
                if (word[0].length <= 20 && lines.size > 1) broken.push(word[0]);
            }
        }
    }
    return broken"""
SHIFTS = """
    const shifts = [];
    const observer = new PerformanceObserver((list) => shifts.push(...list.getEntries()));
    observer.observe({type: 'layout-shift', buffered: true});
    await new Promise((done) => setTimeout(done, 100));
    const moved = (each) => each.sources.map((source) => source.node?.outerHTML);
    return shifts.filter((each) => each.value > 0.01).map(moved)"""
MENU = """
    const {left, right} = document.querySelector('header [aria-current]').getBoundingClientRect();
    return [document.querySelector('header').offsetHeight, left >= 0 && right <= innerWidth]"""
MAX_HEADER_PIXELS = 110
NO_UPDATES = "window.EventSource = class { addEventListener() {} close() {} }"
SIZE_AND_TIME = """
    const paints = () => performance.getEntriesByName('first-contentful-paint');
    while (!paints().length) await new Promise((done) => setTimeout(done, 10));
    const loaded = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    return [loaded.reduce((sum, each) => sum + each.transferSize, 0), paints()[0].startTime]"""


@pytest.fixture
def long_names(all_kinds: None, api: httpx.Client, server: ValkeyServer) -> None:
    """Something with a long name on every page."""
    submit(api, queue="q" * 64, id="i" * 64, labels={"o" * 30: "v" * 60})
    asyncio.run(_add_long_names(server.url))


@pytest.fixture
def emulated(tab: Browser) -> Iterator[Browser]:
    """A browser that stands for others until the end of the test."""
    yield tab
    tab.cdp("Emulation.clearDeviceMetricsOverride")
    tab.cdp("Emulation.setEmulatedMedia", features=[])
    tab.cdp("Emulation.setLocaleOverride")
    tab.cdp("Emulation.setTimezoneOverride", timezoneId="")
    tab.cdp("Emulation.setCPUThrottlingRate", rate=1)
    tab.cdp("Network.setCacheDisabled", cacheDisabled=False)
    tab.cdp("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)


@pytest.fixture
def without_updates(tab: Browser) -> Iterator[None]:
    """Pages that stay as they were opened: what changes later may move what stands below it."""
    added = tab.cdp("Page.addScriptToEvaluateOnNewDocument", source=NO_UPDATES)
    yield
    tab.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


@pytest.mark.usefixtures("long_names", "without_updates")
@pytest.mark.parametrize("width", [PHONE, LAPTOP])
def test_pages_fit_break_no_word_and_stay_where_they_are(
    emulated: Browser, manager: ManagerProgram, width: int
) -> None:
    tab = emulated
    tab.cdp("Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=1, mobile=width == PHONE)
    for path in PAGES if width == PHONE else ("/", "/dashboard/workers", "/dashboard/scaler", "/dashboard/callbacks"):
        tab.open(f"{manager.url}{path}")
        assert tab.run("return document.documentElement.scrollWidth") <= width, path
        assert tab.run(BROKEN_WORDS) == [], path
        height, shows_where = tab.run(MENU)
        assert (height <= MAX_HEADER_PIXELS, shows_where) == (True, True), (path, height)
        assert tab.run(SHIFTS) == [], path
    tab.open(f"{manager.url}/dashboard/scaler")
    facts = tab.run("return [...document.querySelectorAll('.fact')].map((each) => each.textContent.trim())")
    assert ["Leader", f"{HOST}:65535"] in [fact.split() for fact in facts]
    assert tab.run("return document.querySelector('.whole').getClientRects().length") == 1


@pytest.mark.usefixtures("long_names", "without_updates")
def test_times_move_nothing_if_the_script_that_puts_them_into_the_readers_language_comes_late(
    emulated: Browser, manager: ManagerProgram
) -> None:
    tab = emulated
    tab.cdp("Emulation.setDeviceMetricsOverride", width=PHONE, height=740, deviceScaleFactor=1, mobile=True)
    _slow_down_network(tab, latency_ms=50)
    tab.open(f"{manager.url}/dashboard/queues")
    assert tab.run(SHIFTS) == []


def test_the_first_page_is_small_and_soon_readable_on_a_slow_phone(
    emulated: Browser, manager: ManagerProgram, api: httpx.Client
) -> None:
    tab = emulated
    submit(api)
    tab.cdp("Emulation.setDeviceMetricsOverride", width=PHONE, height=740, deviceScaleFactor=2, mobile=True)
    _slow_down_network(tab, latency_ms=150)  # as Lighthouse has it
    tab.cdp("Emulation.setCPUThrottlingRate", rate=4)
    times = []
    for _ in range(5):  # Others may use the machine meanwhile.
        tab.open(f"{manager.url}/")
        size, readable_ms = tab.run(SIZE_AND_TIME)
        assert 5_000 < size <= MAX_PAGE_BYTES
        times.append(readable_ms)
        if readable_ms <= MAX_READABLE_MS:
            break
    assert min(times) <= MAX_READABLE_MS


def test_numbers_and_times_are_the_readers_with_the_exact_value_at_hand(
    emulated: Browser, manager: ManagerProgram, api: httpx.Client
) -> None:
    tab = emulated
    tab.cdp("Emulation.setLocaleOverride", locale="de-DE")
    tab.cdp("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    line = b'{"function": "noop"}\n'
    api.post("/jobs/batch", content=1234 * line, headers={"Content-Type": "application/x-ndjson"}).raise_for_status()
    tab.open(f"{manager.url}/")
    tab.until("/Waiting\\s+1\\.234/.test(document.body.innerText)")
    assert tab.run("return document.querySelector('.fact data').value") == "1234"
    submit(api, id="some")
    created_at = api.get("/jobs/some").json()["created_at"]
    tab.open(f"{manager.url}/dashboard/jobs/some")
    shown, exact, expected = tab.run(
        """const time = document.querySelector('.life time');
        const there = {dateStyle: 'medium', timeStyle: 'medium', timeZone: 'Asia/Tokyo'};
        const expected = new Intl.DateTimeFormat('de-DE', there).format(new Date(given[0]));
        return [time.textContent, time.title, expected]""",
        created_at,
    )
    assert shown == expected
    assert exact[:19] == created_at[:19]


@pytest.mark.usefixtures("all_kinds")
def test_nothing_is_told_by_a_colour_alone(emulated: Browser, manager: ManagerProgram) -> None:
    tab = emulated
    tab.cdp("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    tab.open(f"{manager.url}/")
    style = "return getComputedStyle(document.querySelector(given[0]))[given[1]]"
    # What charts are drawn with, and what is marked as bad.
    assert tab.run(style, "polyline", "stroke") == tab.run(style, "body", "color")
    assert tab.run(style, ".problems", "borderTopWidth") == "3px"
    for path in PAGES:
        tab.open(f"{manager.url}{path}")
        assert tab.run("return [...document.querySelectorAll('.status')].every((each) => each.innerText.trim())"), path


def _slow_down_network(tab: Browser, *, latency_ms: int) -> None:
    """Have all answers come over a mobile network of 1.6 Mbit/s, from now on and none from the cache."""
    tab.cdp("Network.enable")
    tab.cdp("Network.clearBrowserCache")
    tab.cdp("Network.setCacheDisabled", cacheDisabled=True)
    speeds = {"downloadThroughput": 200_000, "uploadThroughput": 90_000}
    tab.cdp("Network.emulateNetworkConditions", offline=False, latency=latency_ms, **speeds)


async def _add_long_names(url: str) -> None:
    shards = await Shards.connect(url)
    (shard,) = shards
    data = b'["worker_node.functions.noop", null, [], {}]'
    await enqueue(shard, [NewJob(id="of-a-long-queue", function="noop", data=data, queue=LONG_QUEUE)])
    problems = (f"the module 'a.very.long.name' cannot be found: {'x' * 300}",)
    name = f"worker-{'n' * 100}"
    await register(shard, WorkerRecord(name, HOST, 4194304, (LONG_QUEUE,), 100_000, "ec2:jobs", "i-1", problems))
    heartbeat = WorkerHeartbeat("busy", 99_999, 2**52, 2**52, 1.0, "spot", jobs=("i" * 64, "of-a-long-queue"))
    await send_worker_heartbeat(shard, name, heartbeat)
    await LeaderElector(shard, f"{HOST}:65535").acquire(now=time.time() + 40)
    await shards.close()
