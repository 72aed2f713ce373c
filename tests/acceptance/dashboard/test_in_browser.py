"""What a person does in a real browser: reads, presses, waits for what changes, with a keyboard alone, on a phone."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.dashboard.test_pages import submit
from tests.acceptance.http.browser import Browser, browser, is_installed
from tests.acceptance.http.conftest import Start
from tests.acceptance.http.proxies import find, proxy
from tests.acceptance.manager.conftest import HEADER, Worker
from tests.acceptance.manager.keyed_managers import OPERATOR
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

pytestmark = pytest.mark.skipif(
    not is_installed(), reason="chromium and chromium-driver are not installed: tests/acceptance/http/peers.sh does it"
)

ENTER, TAB, SPACE = "\ue007", "\ue004", " "
NARROW = 360
PAGES = (
    *("/", "/dashboard/queues", "/dashboard/jobs?status=failed", "/dashboard/jobs/some", "/dashboard/failures"),
    *("/dashboard/workers", "/dashboard/scaler", "/dashboard/schedules", "/dashboard/schedules/nightly"),
    *("/dashboard/keys", "/dashboard/audit"),
)
UNNAMED = """
    // What can be used or scrolled with the keyboard must have a name.
    const nameOf = (each) => (each.getAttribute('aria-label') || each.textContent || '').trim()
      || [...(each.labels || [])].map((label) => label.textContent).join('').trim();
    return [...document.querySelectorAll('a, button, input:not([type=hidden]), select, summary, [tabindex="0"]')]
      .filter((each) => !nameOf(each)).map((each) => each.outerHTML)"""
TOO_PALE = """
    // Contrast of at least 4.5 (WCAG 2.2, 1.4.3), of the nearest background that is painted.
    const channels = (color) => color.match(/[0-9.]+/g).map(Number);
    const luminance = (color) => {
      const [red, green, blue] = channels(color).slice(0, 3).map((value) => value / 255)
        .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = (each) => {
      const color = getComputedStyle(each).backgroundColor;
      return channels(color)[3] === 0 ? behind(each.parentElement) : color;
    };
    const shown = [...document.querySelectorAll('body *')].filter((each) =>
      [...each.childNodes].some((child) => child.nodeType === 3 && child.nodeValue.trim()));
    return shown.filter((each) => {
      const [one, other] = [getComputedStyle(each).color, behind(each)].map(luminance).sort((a, b) => b - a);
      return (one + 0.05) / (other + 0.05) < 4.5;
    }).map((each) => each.outerHTML)"""


@pytest.fixture(scope="module")
def _tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def tab(_tab: Browser) -> Iterator[Browser]:
    """A browser. Whatever a page does, its console must stay empty."""
    _tab.complaints(), _tab.requested_urls()
    yield _tab
    assert _tab.complaints() == []


def wait_for(tab: Browser, text: str) -> None:
    tab.until(f"document.body.innerText.includes({text!r})")


def press(tab: Browser, label: str) -> None:
    """Press a button by what it says, or by its name; wait for the page that follows."""
    script = """
        const labels = (each) => [each.textContent.trim(), each.getAttribute('aria-label')];
        [...document.querySelectorAll('button, summary')].find((each) => labels(each).includes(given[0])).click()"""
    tab.run(script, label)


def test_a_failed_group_is_found_and_requeued(
    tab: Browser, manager: ManagerProgram, api: httpx.Client, server: ValkeyServer
) -> None:
    tab.open(manager.url)
    wait_for(tab, "Nothing needs a person")
    for _ in range(3):
        submit(api)
    wait_for(tab, "3 jobs wait: no worker is registered")
    Worker(server.url).fail_all(f"{HEADER}\nValueError: no such order")
    tab.until("[...document.querySelectorAll('.fact')].some((each) => /Failed\\s+3/.test(each.innerText))")
    tab.run("[...document.querySelectorAll('a')].find((each) => each.textContent === 'Failed').click()")
    wait_for(tab, "ValueError: no such order")
    press(tab, "Requeue…")
    press(tab, "Requeue the group")
    wait_for(tab, "3 jobs are queued again")
    assert "done=" not in tab.run("return location.href")
    assert [job["status"] for job in api.get("/jobs").json()["jobs"]] == ["queued"] * 3
    requested = [url for url in tab.requested_urls() if not url.startswith("chrome:")]
    assert [url for url in requested if not url.startswith(f"{manager.url}/")] == []


def test_updates_keep_the_focus_and_what_is_open(tab: Browser, manager: ManagerProgram, api: httpx.Client) -> None:
    submit(api, queue="m")
    tab.open(f"{manager.url}/dashboard/queues")
    wait_for(tab, "unserved")
    tab.run("document.querySelector('[aria-label=\"Pause queue m\"]').focus()")
    for queue in ("a", "z"):  # before and after it
        submit(api, queue=queue)
        tab.until(f"document.getElementById('queue-{queue}')")
        assert tab.run("return document.activeElement.getAttribute('aria-label')") == "Pause queue m"
    submit(api, id="some")
    tab.open(f"{manager.url}/dashboard/jobs/some")
    tab.run("document.querySelector('details').open = true")
    api.post("/queues/default/pause").raise_for_status()
    wait_for(tab, "is paused")
    assert tab.run("return document.querySelector('details').open")


def test_updates_stop_while_they_are_paused(tab: Browser, manager: ManagerProgram, api: httpx.Client) -> None:
    tab.open(f"{manager.url}/dashboard/queues")
    wait_for(tab, "There is no queue yet")
    press(tab, "Pause updates")
    wait_for(tab, "Paused")
    submit(api, queue="late")
    with api.stream("GET", "/dashboard/events?page=queues") as stream:
        next(line for line in stream.iter_lines() if "late" in line)  # others have been sent it
    assert "late" not in tab.text
    press(tab, "Pause updates")
    wait_for(tab, "late")


def test_a_lost_connection_is_told_and_found_again(
    tab: Browser, server: ValkeyServer, start: Start, tmp_path: Path
) -> None:
    if not find("nginx"):
        pytest.skip("nginx is not installed")
    first = start(ROOT_PATH="/queue")
    with proxy("nginx, prefix kept", tmp_path / "proxy", first.port) as url:
        tab.open(f"{url}/queue/")
        tab.until("document.getElementById('connection').textContent === ''")
        assert first.stop() == 0
        wait_for(tab, "Connection lost")
        assert "Overview" in tab.text
        again = start("--port", str(first.port), ROOT_PATH="/queue")
        tab.until("document.getElementById('connection').textContent === ''")
        assert again.port == first.port
        tab.open("about:blank")
        tab.complaints()  # that the connection was lost is in the console, too


def test_a_person_signs_in_with_the_keyboard_alone(tab: Browser, keyed: ManagerProgram) -> None:
    tab.open(f"{keyed.url}/dashboard/jobs?status=failed")
    tab.until("document.activeElement.id === 'key'")
    tab.type(OPERATOR + ENTER)
    tab.until("document.querySelector('h1').textContent === 'Jobs'")
    assert tab.run("return location.search") == "?status=failed"
    assert tab.run("return document.cookie") == ""
    tab.type(TAB)
    assert tab.run("return document.activeElement.textContent") == "Skip to the content"
    tab.type(ENTER)
    tab.type(TAB)
    assert tab.run("return document.activeElement.name") == "queue"


def test_all_pages_fit_a_phone_and_name_what_can_be_used(
    tab: Browser, manager: ManagerProgram, api: httpx.Client, server: ValkeyServer
) -> None:
    submit(api, id="some")
    Worker(server.url).fail_all(f"{HEADER}\nValueError: {'long' * 100}")
    api.put("/schedules/nightly", json={"cron": "0 3 * * *", "job": {"function": "noop"}}).raise_for_status()
    tab.cdp("Emulation.setDeviceMetricsOverride", width=NARROW, height=640, deviceScaleFactor=2, mobile=True)
    try:
        for path in PAGES:
            tab.open(f"{manager.url}{path}")
            tab.until("document.getElementById('connection') === null || document.querySelector('h1')")
            assert tab.run("return document.documentElement.scrollWidth") <= NARROW, path
            assert tab.run(UNNAMED) == [], path
            assert tab.run("return document.querySelectorAll('h1').length") == 1, path
    finally:
        tab.cdp("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(tab: Browser, manager: ManagerProgram, api: httpx.Client, scheme: str) -> None:
    submit(api)
    tab.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        for path in ("/", "/dashboard/queues", "/dashboard/jobs?status=queued"):
            tab.open(f"{manager.url}{path}")
            assert tab.run(TOO_PALE) == [], path
    finally:
        tab.cdp("Emulation.setEmulatedMedia", features=[])
