"""What a real browser lets web pages do to a manager on its machine, and the page with the API."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.http.browser import FOREIGN_HOST, Browser, browser, is_installed
from tests.acceptance.http.conftest import Start
from tests.acceptance.http.proxies import find, proxy
from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

pytestmark = pytest.mark.skipif(
    not is_installed(), reason="chromium and chromium-driver are not installed: tests/acceptance/http/peers.sh does it"
)

KEY = "a-key-of-some-length"
ATTEMPTS = {
    "submit as text": "await fetch(url + '/jobs', {method: 'POST', mode: 'no-cors', body: job})",
    "submit without type": "await fetch(url + '/jobs', {method: 'POST', mode: 'no-cors', body: new Blob([job])})",
    "submit as JSON": "await fetch(url + '/jobs', {method: 'POST', headers: {'Content-Type': json}, body: job})",
    "submit lines": "await fetch(url + '/jobs/batch', {method: 'POST', mode: 'no-cors', body: new Blob([job])})",
    "beacon": "navigator.sendBeacon(url + '/jobs', new Blob([job], {type: 'text/plain'}))",
    "put": "await fetch(url + '/enqueue?iterations=1', {method: 'PUT', body: 'x'})",
    "pull": "await fetch(url + '/pullCompleted?top=100', {method: 'POST', mode: 'no-cors'})",
    "pull to read": "return await (await fetch(url + '/pullCompleted?top=100', {method: 'POST'})).text()",
    "acknowledge": "await fetch(url + '/ackCompleted', {method: 'POST', mode: 'no-cors', body: new Blob([ids])})",
    "pause": "await fetch(url + '/queues/default/pause', {method: 'POST', mode: 'no-cors'})",
    "cancel": "await fetch(url + '/jobs/waiting/cancel', {method: 'POST', mode: 'no-cors'})",
    "delete": "await fetch(url + '/jobs/waiting', {method: 'DELETE'})",
    "form": """
        const form = add('form', {method: 'POST', enctype: 'text/plain', target: 'f'});
        form.action = url + '/queues/default/pause';
        const frame = add('iframe', {name: 'f'});
        form.submit();
        return await loaded(frame)""",
    "read": "return await (await fetch(url + '/jobs')).text()",
    "read without asking": "return await (await fetch(url + '/jobs', {mode: 'no-cors'})).text()",
    "request": """
        const request = new XMLHttpRequest();
        request.open('GET', url + '/jobs', false);
        request.send();
        return request.responseText""",
    "events": "return await loaded(new EventSource(url + '/jobs'))",
    "web socket": "return await loaded(new WebSocket(url.replace('http', 'ws') + '/jobs'))",
    "dashboard pause": "await fetch(url + '/dashboard/queues/default/pause', emptyForm)",
    "dashboard cancel": "await fetch(url + '/dashboard/jobs/waiting/cancel', emptyForm)",
    "dashboard page": "return await (await fetch(url + '/dashboard/jobs/waiting')).text()",
    "dashboard stream": "return await loaded(new EventSource(url + '/dashboard/events?page=queues'))",
    "dashboard frame": "return await loaded(add('iframe', {src: url + '/dashboard/jobs?status=queued'}))",
    "script": "return await loaded(add('script', {src: url + '/jobs'}))",
    "picture": "return await loaded(add('img', {src: url + '/jobs'}))",
    "frame": "return await loaded(add('iframe', {src: url + '/jobs'}))",
}
PRELUDE = """
    const [url] = given, json = 'application/json', ids = '{"ids": ["done"]}', job = '{"function": "noop"}';
    const emptyForm = {method: 'POST', mode: 'no-cors', body: new URLSearchParams()};
    const add = (name, values) => document.body.appendChild(Object.assign(document.createElement(name), values));
    // What can be seen of something that loads: nothing if it does not within a second.
    const loaded = (thing) => new Promise((done) => {
      thing.onload = thing.onopen = thing.onmessage = () => done('loaded ' + thing.contentDocument?.body?.innerText);
      thing.onerror = () => done('error');
      setTimeout(() => done('nothing'), 1000);
    });
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def foreign_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a web server with somebody else's page."""
    directory = tmp_path_factory.mktemp("page")
    (directory / "index.html").write_text("<!doctype html><title>foreign</title><body>")
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser."""
    with browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def state(manager: ManagerProgram, server: ValkeyServer) -> Iterator[httpx.Client]:
    """A client of a manager that has one job waiting, and one result that nobody has pulled."""
    server.command("FLUSHALL")
    with manager.client() as client:
        client.post("/jobs", json={"function": "noop", "id": "done"})
        Worker(server.url).finish_all("secret result")
        client.post("/jobs", json={"function": "noop", "id": "waiting"})
        yield client


@pytest.mark.parametrize("host", ["localhost", "sub.localhost", FOREIGN_HOST])
def test_a_page_of_another_site_changes_and_reads_nothing(
    tab: Browser, state: httpx.Client, foreign_port: int, host: str
) -> None:
    tab.open(f"http://{host}:{foreign_port}/")
    for target in ("127.0.0.1", "localhost"):
        for name, attempt in ATTEMPTS.items():
            seen = str(tab.run(PRELUDE + attempt, f"http://{target}:{state.base_url.port}"))
            assert "waiting" not in seen, name
            assert "secret" not in seen, name
            _check_untouched(state, name)


def test_a_page_whose_own_name_leads_here_changes_and_reads_nothing(tab: Browser, state: httpx.Client) -> None:
    url = f"http://{FOREIGN_HOST}:{state.base_url.port}"
    tab.open(f"{url}/jobs")
    assert '"status":421' in tab.text
    for name in ("read", "request", "submit as JSON", "put", "pull to read", "pause", "delete"):
        assert "waiting" not in str(tab.run(PRELUDE + ATTEMPTS[name], url)), name
        _check_untouched(state, name)


def test_the_page_with_the_api_asks_for_the_key(tab: Browser, start: Start) -> None:
    manager = start(API_KEYS=KEY)
    tab.requested_urls(), tab.complaints()
    tab.open(f"{manager.url}/docs")
    tab.until("!document.getElementById('key-form').hidden")
    assert tab.run("return document.getElementById('api').children.length") == 0
    _enter_key(tab, "wrong")
    tab.until("document.getElementById('key-message').textContent.includes('not a key')")
    _enter_key(tab, KEY)
    assert _call_status(tab) == "200"
    _check_own(tab, manager.url, refused=2)


def test_the_page_with_the_api_works_without_keys(tab: Browser, manager: ManagerProgram) -> None:
    tab.requested_urls(), tab.complaints()
    tab.open(f"{manager.url}/docs")
    assert _call_status(tab) == "200"
    _check_own(tab, manager.url)


@pytest.mark.parametrize("name", ["nginx, prefix kept", "nginx, prefix removed"])
def test_the_page_with_the_api_works_below_a_path_prefix(tab: Browser, start: Start, tmp_path: Path, name: str) -> None:
    if not find("nginx"):
        pytest.skip("nginx is not installed")
    manager = start(API_KEYS=KEY, ROOT_PATH="/queue")
    with proxy(name, tmp_path / "proxy", manager.port) as url:
        tab.requested_urls(), tab.complaints()
        tab.open(f"{url}/queue/docs")
        tab.until("!document.getElementById('key-form').hidden")
        _enter_key(tab, KEY)
        assert _call_status(tab) == "200"
        _check_own(tab, f"{url}/queue", refused=1)


def _check_untouched(state: httpx.Client, attempt: str) -> None:
    status: dict[str, Any] = state.get("/status").json()
    assert (status["Jobs"], status["completed"], status["queues"]["default"]["paused"]) == (1, 1, False), attempt
    assert state.get("/jobs/waiting").json()["status"] == "queued", attempt


def _enter_key(tab: Browser, key: str) -> None:
    script = """
        document.getElementById('key').value = given[0];
        document.getElementById('key-form').requestSubmit()"""
    tab.run(script, key)


def _call_status(tab: Browser) -> str:
    """Let Swagger UI call `GET /status`, and return the status of the answer that it shows."""
    tab.until("document.querySelector('[id*=getStatus] button')")
    tab.run("document.querySelector('[id*=getStatus] button').click()")
    for button in (".try-out__btn", ".execute"):
        tab.until(f"document.querySelector('{button}')")
        tab.run(f"document.querySelector('{button}').click()")
    return str(tab.until("document.querySelector('.live-responses-table tbody .response-col_status')?.innerText"))


def _check_own(tab: Browser, url: str, *, refused: int = 0) -> None:
    """Check that the page has loaded nothing from elsewhere, and broken no rule of its own."""
    requested = tab.requested_urls()
    assert f"{url}/docs/swagger-ui.js" in requested
    assert [each for each in requested if not each.startswith(f"{url}/")] == []
    complaints = tab.complaints()
    assert len([each for each in complaints if "401" in each]) == refused
    assert [each for each in complaints if "401" not in each] == []
