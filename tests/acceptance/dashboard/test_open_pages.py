"""What stays quiet and what goes on while a page is open: for screen readers, with a keyboard, when a manager dies."""

from pathlib import Path

import httpx
import pytest

from tests.acceptance.dashboard.test_in_browser import ENTER, TAB, wait_for
from tests.acceptance.dashboard.test_pages import submit
from tests.acceptance.http.browser import Browser, is_installed
from tests.acceptance.http.conftest import Start
from tests.acceptance.http.proxies import find, proxy
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    not is_installed(), reason="chromium and chromium-driver are not installed: tests/acceptance/http/peers.sh does it"
)

LISTEN = """
    window.told = [];
    const note = (changes) => changes.forEach((each) => window.told.push(each.target.textContent.trim()));
    for (const region of document.querySelectorAll('[role=status], [role=alert], [aria-live]')) {
        new MutationObserver(note).observe(region, {childList: true, characterData: true, subtree: true});
    }
    return document.querySelectorAll('[role=status], [role=alert], [aria-live]').length"""


def test_screen_readers_are_told_of_new_problems_and_of_nothing_else(
    tab: Browser, manager: ManagerProgram, api: httpx.Client
) -> None:
    submit(api, queue="a")
    tab.open(f"{manager.url}/")
    wait_for(tab, "no worker is registered")
    assert tab.run(LISTEN) == 2  # the connection, and how many problems there are
    for number in range(2, 5):
        submit(api, queue="a")
        tab.until(f"/Waiting\\s+{number}\\s/.test(document.body.innerText)")
    assert tab.run("return window.told") == []
    api.post("/queues/b/pause").raise_for_status()
    submit(api, queue="b")
    tab.until("window.told.length")
    assert set(tab.run("return window.told")) == {"2 problems to solve"}


def test_a_queue_is_paused_with_the_keyboard_alone(tab: Browser, manager: ManagerProgram, api: httpx.Client) -> None:
    for queue in ("a", "b"):
        submit(api, queue=queue)
    tab.open(f"{manager.url}/dashboard/queues")
    tab.until("document.getElementById('queue-b')")
    for _ in range(60):
        tab.type(TAB)
        name, outline = tab.run(
            """const at = document.activeElement;
            return [at.getAttribute('aria-label') || at.textContent.trim(), getComputedStyle(at).outlineStyle]"""
        )
        assert outline == "solid", f"where the focus is cannot be seen at {name}"
        if name == "Pause queue b":
            break
    tab.type(ENTER)
    wait_for(tab, "The queue is paused")
    assert "paused" in tab.run("return document.getElementById('queue-b').innerText")
    assert "paused" not in tab.run("return document.getElementById('queue-a').innerText")


def test_an_open_page_goes_on_at_the_other_manager_when_its_own_dies(
    tab: Browser, manager: ManagerProgram, start: Start, api: httpx.Client, tmp_path: Path
) -> None:
    if not find("nginx"):
        pytest.skip("nginx is not installed")
    first = start()
    with proxy("nginx, keep-alive", tmp_path / "proxy", first.port, manager.port) as url:
        submit(api, queue="before")
        tab.open(f"{url}/dashboard/queues")
        wait_for(tab, "before")
        tab.until("document.getElementById('connection').textContent === ''")
        first.process.kill()
        submit(api, queue="after")
        until(lambda: "after" in tab.text, 60)
        until(lambda: tab.run("return document.getElementById('connection').textContent === ''"), 30)
        tab.open("about:blank")
        tab.complaints()  # that the connection was lost is in the console, too
