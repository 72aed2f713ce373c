"""The examples as a reader of their READMEs runs them: in a directory that looks like a checkout."""

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import uvicorn

from tests.acceptance.manager.callback_receiver import SECRET
from tests.ports import pick_port
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"


class Checkout:
    """One running system for all examples, with the settings that any of their READMEs asks for."""

    def __init__(self, directory: Path) -> None:
        self.up = WorkmanagerUp(directory)
        self.directory = directory
        self.settings: dict[str, str] = {}
        (directory / "examples").symlink_to(EXAMPLES)
        for name in ("README.md", "LICENSE"):
            (directory / name).symlink_to(ROOT / name)
        programs = directory / ".venv/bin"
        programs.mkdir(parents=True)
        search_path = f"PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={ROOT}${{PYTHONPATH:+:$PYTHONPATH}}"
        for name, arguments in (("python", ""), ("workmanager", "-m workmanager")):
            (programs / name).write_text(f'#!/bin/sh\n{search_path} exec {sys.executable} {arguments} "$@"\n')
            (programs / name).chmod(0o755)

    def start(self) -> None:
        modules = sorted(EXAMPLES.glob("*/functions/*.py"))
        self.settings = {
            "PYTHONPATH": os.pathsep.join([*(str(module.parent) for module in modules), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "WORKMANAGER_FUNCTIONS": ",".join(module.stem for module in modules),
            "WORKMANAGER_MIN_WORKERS": "2",
            "WORKMANAGER_NICE": "0",
            "WORKMANAGER_HTTP_ALLOW": "127.0.0.1",
            "WORKMANAGER_CALLBACK_ALLOW": "127.0.0.1",
            "WORKMANAGER_CALLBACK_SECRETS": SECRET,
        }
        self.up.start("--max-workers", "2", environ=self.settings)
        self.up.wait_until_ready()

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{(self.directory / 'data/single/port').read_text()}"

    @contextlib.contextmanager
    def read(self, example: str, **environ: str) -> Iterator["Reader"]:
        """Follow an example's README with these variables in the environment; end what was started at the end."""
        reader = Reader(self, example, environ)
        try:
            yield reader
        finally:
            reader.end()


class Reader:
    """Somebody who pastes the commands of one README, with ports of their own."""

    def __init__(self, checkout: Checkout, example: str, environ: dict[str, str]) -> None:
        self.page = (EXAMPLES / example / "README.md").read_text()
        self._checkout = checkout
        self._environ = {**os.environ, "CALLBACK_SECRET": SECRET, "no_proxy": "127.0.0.1", **environ}
        up = checkout.up.port
        self._ports = {5000: up, 5001: up + 1}
        self._processes: list[subprocess.Popen[str]] = []

    def use(self, documented: int, port: int) -> None:
        """Let a port take the place of one in the README."""
        self._ports[documented] = port

    def port(self, documented: int) -> int:
        """Return the port that takes the place of one in the README."""
        if documented not in self._ports:
            self._ports[documented] = pick_port()
        return self._ports[documented]

    def url(self, documented: int) -> str:
        return f"http://127.0.0.1:{self.port(documented)}"

    def block(self, containing: str) -> str:
        """Return the one block of commands that contains a text, with the reader's ports."""
        return re.sub(
            r"(127\.0\.0\.1:|--port |\.mjs |\.java )(\d+)",
            lambda found: found[1] + str(self.port(int(found[2]))),
            self._fenced("sh", containing),
        )

    def documented(self, containing: str) -> str:
        """Return the one block of output that contains a text."""
        return self._fenced("", containing)

    def start(self, text: str, documented: int) -> str:
        """Run commands in the background, wait until a port of theirs is open, and return the URL of that port."""
        process = self._bash(text)
        until(lambda: process.poll() is not None or self._is_open(documented), wanted=f"a server of {text!r}")
        assert process.poll() is None, process.communicate()
        return self.url(documented)

    def printed_line(self, containing: str) -> str:
        """Return the next line that a command in the background prints."""
        (process,) = [process for process in self._processes if containing in process.args[-1]]
        assert process.stdout is not None
        return process.stdout.readline()

    def run(self, text: str) -> list[str]:
        """Paste commands, of which the last must succeed, and return the lines that they print."""
        process = self._bash(text)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, (output, errors)
        return output.splitlines()

    def end(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9) if process.poll() is None else None
            process.communicate()

    def _fenced(self, language: str, containing: str) -> str:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", self.page, re.DOTALL | re.MULTILINE)
        (block,) = [str(text) for name, text in blocks if name == language and containing in text]
        return block

    def _bash(self, text: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["bash", "-e", "-c", text],
            cwd=self._checkout.directory,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that `end` reaches what it starts
        )
        self._processes.append(process)
        return process

    def _is_open(self, documented: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port(documented)), timeout=1):
            return True
        return False


def load(example: str, module: str = "adapter") -> ModuleType:
    """Import a file of an example under a name of its own, with the environment of this moment."""
    path = EXAMPLES / example / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"example_{example}_{module}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # where FastAPI looks up the types in annotations
    spec.loader.exec_module(loaded)
    return loaded


@contextlib.contextmanager
def serving(app: Any) -> Iterator[httpx.Client]:
    """Serve an adapter in this process, and yield a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
