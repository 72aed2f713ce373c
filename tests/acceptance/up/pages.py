"""The examples of the pages, and the system that they need."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.workmanager_up import WorkmanagerUp

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
FUNCTIONS_PAGE = ROOT / "docs/functions.md"
CALLBACKS_PAGE = ROOT / "docs/callbacks.md"
Modules = Mapping[str, tuple[Path, str]]
"""Page and section of each module that a reader writes."""
MODULES: Modules = {
    "texts": (README, "Your own functions"),
    "images": (FUNCTIONS_PAGE, "Functions that take files"),
    "reports": (FUNCTIONS_PAGE, "Errors and retries"),
}


def example(page: Path, heading: str, language: str, containing: str = "") -> str:
    """Return the code block of a section that contains a text."""
    _, _, section = page.read_text().partition(f"\n## {heading}\n")
    blocks = re.findall(r"```(\w*)\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    (block,) = [str(block) for name, block in blocks if name == language and containing in block]
    return block


class ReadersSystem:
    """`workmanager up` with the pages' modules, in a directory that looks like the reader's checkout."""

    def __init__(self, directory: Path, modules: Modules = MODULES) -> None:
        self.modules = modules
        self.up = WorkmanagerUp(directory)
        self.directory = directory
        shutil.copy(README, directory)
        (directory / "functions").mkdir()
        for module, (page, heading) in modules.items():
            (directory / "functions" / f"{module}.py").write_text(example(page, heading, "python", "def "))
        program = directory / ".venv/bin/workmanager"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m workmanager "$@"\n')
        program.chmod(0o755)

    def start(self, *options: str, **variables: str) -> None:
        # As on the pages; the tests add the repository, which a reader has as the working directory.
        search_path = os.pathsep.join(("functions", str(ROOT)))
        modules = ",".join(self.modules)
        environ = {"PYTHONPATH": search_path, "WORKMANAGER_FUNCTIONS": modules, **variables}
        self.up.start(*(options or ("--max-workers", "1")), environ=environ)

    def paste(self, text: str) -> subprocess.Popen[str]:
        """Give an example to a shell as a terminal does: all lines at once, which it reads one by one."""
        shell = subprocess.Popen(
            ["bash"],
            cwd=self.directory,
            env={**os.environ, "WORKMANAGER_URL": ",".join(self.up.urls), "no_proxy": "127.0.0.1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert shell.stdin is not None
        shell.stdin.write(self._with_own_urls(text))
        shell.stdin.close()
        shell.stdin = None  # `communicate` must not close it again.
        return shell

    def run(self, text: str) -> list[str]:
        """Paste an example whose last command must succeed, and return the lines it prints."""
        shell = self.paste(text)
        output, _ = shell.communicate(timeout=120)
        assert shell.returncode == 0, output
        return output.splitlines()

    def run_python(self, text: str) -> list[str]:
        """Run an example in Python, and return the lines it prints."""
        command = [sys.executable, "-c", self._with_own_urls(text)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout.splitlines()

    def _with_own_urls(self, text: str) -> str:
        for number, url in enumerate(self.up.urls):
            text = text.replace(f"http://127.0.0.1:{5000 + number}", url)
        return text
