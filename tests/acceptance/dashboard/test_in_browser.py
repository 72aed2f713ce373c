"""What a person does in a real browser: reads, presses, waits for what changes, with a keyboard alone, on a phone."""

import shutil
from pathlib import Path

import httpx
import pytest

from benchmarks.harness.environments import Environment
from tests.acceptance.dashboard.test_pages import submit
from tests.acceptance.http.browser import Browser, is_installed
from tests.acceptance.http.conftest import Start
from tests.acceptance.http.proxies import find, proxy
from tests.acceptance.manager.conftest import HEADER, Worker
from tests.acceptance.manager.keyed_managers import OPERATOR
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

pytestmark = pytest.mark.skipif(
    not is_installed(), reason="chromium and chromium-driver are not installed: tests/acceptance/http/peers.sh does it"
)

ENTER, TAB, SPACE = "\ue007", "\ue004", " "
PAGES = (
    *("/", "/dashboard/queues", "/dashboard/jobs?status=failed", "/dashboard/jobs/some", "/dashboard/failures"),
    *("/dashboard/workers", "/dashboard/scaler", "/dashboard/schedules", "/dashboard/schedules/nightly"),
    *("/dashboard/workflows", "/dashboard/workflows/flow", "/dashboard/callbacks", "/dashboard/limits"),
    *("/dashboard/keys", "/dashboard/audit", "/dashboard/schedules?cron=30+2+*+*+*&timezone=Europe/Berlin"),
)
AXE = Environment("axe", ("axe-core@4.14.1",), node=True)
RUN_AXE = """
    const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const found = await axe.run(document, {runOnly: rules});
    return found.violations.map((each) => [each.id, each.nodes.map((node) => node.html + node.failureSummary)])"""


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
    tab.run("document.getElementById('delete-the-job').open = true")
    api.post("/jobs/some/cancel").raise_for_status()
    wait_for(tab, "canceled")
    assert tab.run("return document.getElementById('delete-the-job').open")
    api.delete("/jobs/some").raise_for_status()
    wait_for(tab, "there is no job with the id 'some'")
    tab.complaints()  # that the page is gone is in the console


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
        assert start("--port", str(first.port), ROOT_PATH="/queue").port == first.port
        # Sooner than a connection that says nothing is given up.
        until(lambda: tab.run("return document.getElementById('connection').textContent === ''"), 30)
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


@pytest.mark.usefixtures("all_kinds")
def test_a_link_of_another_site_leads_to_the_page_if_somebody_has_signed_in(
    tab: Browser, keyed: ManagerProgram
) -> None:
    def open_other_site() -> None:
        tab.open(f"http://localhost:{keyed.port}/docs")
        tab.until("!document.getElementById('key-form').hidden")
        tab.complaints()  # that it needs a key is in the console

    # Later, because the page that this leads to may run in another process: the answer to this script must have come.
    link = f"setTimeout(() => (location.href = '{keyed.url}/dashboard/jobs?status=failed'), 300)"
    tab.open(f"{keyed.url}/dashboard/sign-in")
    if tab.run("return document.querySelector('h1').textContent") == "Sign in":
        tab.type(OPERATOR + ENTER)
    tab.until("document.querySelector('h1').textContent === 'Overview'")
    open_other_site()
    tab.run(link)
    tab.until("document.querySelector('h1')?.textContent === 'Jobs'")
    press(tab, "Sign out env-1")
    tab.until("document.querySelector('h1')?.textContent === 'Sign in'")
    open_other_site()
    tab.run(link)
    tab.until("document.querySelector('h1')?.textContent === 'Sign in'")


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed: it brings axe")
@pytest.mark.usefixtures("all_kinds")
def test_axe_finds_nothing_on_any_page_in_light_and_dark_colours(tab: Browser, manager: ManagerProgram) -> None:
    AXE.ensure()
    axe = (AXE.directory / "node_modules/axe-core/axe.min.js").read_text()
    for scheme, pages in (("light", PAGES), ("dark", PAGES[:4])):
        tab.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for path in pages:
            tab.open(f"{manager.url}{path}")
            assert tab.run(f"{axe}; {RUN_AXE}") == [], path
    tab.cdp("Emulation.setEmulatedMedia", features=[])
