"""The man pages: one for each command, which man can show."""

import shutil
import subprocess

import pytest

from scripts.documents.man_pages import man_pages
from workmanager.commands import COMMANDS

PAGES = man_pages()


def test_each_command_has_a_page() -> None:
    assert PAGES.keys() == {"workmanager.1", *(f"workmanager-{name}.1" for name in COMMANDS)}


def test_a_page_has_summary_options_and_exit_codes() -> None:
    page = PAGES["workmanager-submit.1"].replace("\\", "")
    assert "workmanager-submit - submit jobs" in page
    assert ".SH EXIT STATUS" in page
    assert "--retry-intervals" in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff, of which man is made")
@pytest.mark.parametrize("name", ["workmanager.1", "workmanager-submit.1", "workmanager-worker.1"])
def test_man_shows_a_page_without_a_warning(name: str) -> None:
    # Tables and unbreakable words cannot be adjusted (break): that is no fault of a page.
    command = ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-Wbreak", "-P-c", "-P-b", "-P-u"]
    done = subprocess.run(command, input=PAGES[name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "EXIT STATUS" in done.stdout
