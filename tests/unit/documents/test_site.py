"""The site of the documents: built as `./scripts/dev.sh docs` does, where each warning is an error."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from manager.settings import ManagerSettings
from scripts.documents.build_site import OPTIONS
from scripts.documents.command_parsers import actions_of, command_parsers
from scripts.documents.pages import write_pages
from scripts.documents.reference import reference_pages
from worker_node.settings import WorkerSettings

ROOT = Path(__file__).parents[3]
REFERENCE = reference_pages(ROOT)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the site is built from."""
    target = tmp_path_factory.mktemp("site") / "pages"
    write_pages(ROOT, target)
    return target


@pytest.fixture(scope="module")
def site(pages: Path) -> Path:
    """The site with two of its pages: all of them take seconds, and no other faults are found then."""
    target = pages.parent / "html"
    some = [str(pages / name) for name in ("docs/README.md", "docs/architecture.md")]
    done = _sphinx(pages, "-b", "html", str(pages), str(target), *some)
    assert done.returncode == 0, done.stderr
    return target


def _sphinx(pages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Sphinx; what it has read is kept beside the pages for the next run."""
    command = [sys.executable, "-m", "sphinx", *OPTIONS, "-d", str(pages.parent / "doctrees"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_page_has_a_broken_link_or_another_fault(pages: Path) -> None:
    done = _sphinx(pages, "-W", "-b", "dummy", str(pages), str(pages.parent / "dummy"))
    assert (done.returncode, done.stderr) == (0, "")


def test_every_document_is_a_page(pages: Path) -> None:
    sources = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md"), *ROOT.glob("*.md")]
    assert [source for source in sources if not (pages / source.relative_to(ROOT)).exists()] == []


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    tags = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"(?:https?:)?//|<link\b[^>]*\bhref=\"(?:https?:)?//")
    imports = re.compile(r"@import|url\([\"']?(?:https?:)?//")
    assert [page for page in site.rglob("*.html") if tags.search(page.read_text())] == []
    assert [style for style in site.rglob("*.css") if imports.search(style.read_text())] == []


def test_diagrams_are_pictures(site: Path) -> None:
    assert "mermaid" not in (site / "docs/architecture.html").read_text()
    assert len(list(site.glob("_images/architecture-*.svg"))) == 4


def test_the_reference_has_every_request() -> None:
    paths = json.loads((ROOT / "openapi.json").read_text())["paths"]
    requests = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert requests <= set(re.findall(r"^### (.+)$", REFERENCE["http.md"], re.MULTILINE))


def test_the_reference_has_every_command_and_action() -> None:
    usages = set(re.findall(r"^usage: (workmanager [a-z]+(?: [a-z-]+)?)", REFERENCE["commands.md"], re.MULTILINE))
    for name, parser in command_parsers().items():
        assert f"workmanager {name}" in {usage.rpartition(" -")[0] or usage for usage in usages}
        assert {f"workmanager {name} {action}" for action in actions_of(parser)} <= usages


def test_the_reference_has_every_setting_with_its_bounds() -> None:
    names = {*ManagerSettings.model_fields, *WorkerSettings.model_fields}
    assert set(re.findall(r"^\| `WORKMANAGER_(\w+)`", REFERENCE["settings.md"], re.MULTILINE)) == {
        name.upper() for name in names
    }
    assert "| `WORKMANAGER_LEASE_SECONDS` | number, ≥ 1, ≤ 25 | `20.0` |" in REFERENCE["settings.md"]
