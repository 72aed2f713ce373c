"""A real headless Chromium, driven over WebDriver."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.ports import pick_port
from tests.waiting import DEADLINE_SECONDS, until
from workmanager.local import ports

PROGRAMS = ("chromium", "chromedriver")
FOREIGN_HOST = "attacker.example"
"""A name that the browser takes for 127.0.0.1, as DNS rebinding does."""
_OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1",
]


def is_installed() -> bool:
    """Return whether there is a browser."""
    return all(shutil.which(program) for program in PROGRAMS)


SCRIPT_TIMEOUT_MS = 10_000
"""For an answer that is lost because its page was left."""


class Browser:
    """One tab."""

    def __init__(self, session: httpx.Client) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self._post("url", url=url)

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of an async function in the page, and return what it returns. Errors are returned as text."""
        wrapped = """
            const done = arguments[arguments.length - 1];
            (async (...given) => { %s })(...arguments).then(done, (error) => done(String(error)));
        """
        return self._post("execute/async", script=wrapped % script, args=list(arguments))

    def type(self, text: str) -> None:
        """Press keys, one after another."""
        presses = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._post("actions", actions=[{"type": "key", "id": "keyboard", "actions": presses}])

    def cdp(self, command: str, **parameters: object) -> Any:
        """Give a command of the Chrome DevTools Protocol."""
        return self._post("goog/cdp/execute", cmd=command, params=parameters)

    def until(self, expression: str) -> Any:
        """Wait until an expression is true in the page, and return it."""

        def look() -> Any:
            try:
                return self.run(f"return {expression}")
            except AssertionError:
                return None  # The page is being left, and with it the answer.

        return until(look, wanted=expression)

    @property
    def text(self) -> str:
        """What the page shows."""
        return str(self.run("return document.body.innerText"))

    def requested_urls(self) -> list[str]:
        """Return what the tab has requested since the last call, apart from data in URLs."""
        urls = [message["params"]["request"]["url"] for message in self._messages("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """Return the errors that the browser has shown in its console since the last call."""
        entries = self._post("se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _messages(self, method: str) -> list[Any]:
        entries = [json.loads(entry["message"])["message"] for entry in self._post("se/log", type="performance")]
        return [entry for entry in entries if entry["method"] == method]

    def _post(self, path: str, **arguments: object) -> Any:
        answer = self._session.post(path, json=arguments)
        assert answer.is_success, answer.text
        return answer.json()["value"]


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    """Run a browser with a new profile."""
    port = pick_port()
    with (directory / "chromedriver.log").open("wb") as output:
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=output, stderr=output)
    try:
        until(lambda: not ports.is_free(port), wanted="chromedriver")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_SECONDS) as client:
            chrome = {"args": [*_OPTIONS, f"--user-data-dir={directory / 'profile'}"]}
            capabilities = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
            capabilities["timeouts"] = {"script": SCRIPT_TIMEOUT_MS}
            answer = client.post("/session", json={"capabilities": {"alwaysMatch": capabilities}})
            assert answer.is_success, answer.text
            session = f"/session/{answer.json()['value']['sessionId']}"
            try:
                with httpx.Client(base_url=client.base_url.join(session), timeout=DEADLINE_SECONDS) as tab:
                    yield Browser(tab)
            finally:
                client.delete(session)
    finally:
        driver.terminate()
        driver.wait()
