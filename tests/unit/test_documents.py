"""The documents: their links lead somewhere, and the files, modules and settings they name exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from manager.settings import ManagerSettings
from worker_node.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/[0-9]*.md"))
PACKAGES = (
    "benchmarks|docs|examples|findings|infra|jobqueue|manager|outgoing|processes|scaler|scripts|tests|"
    "worker_node|workmanager"
)
PLACEHOLDERS = {"jobqueue/lua/NAME.lua"}


def _prose(document: Path) -> str:
    """The text without code blocks, which hold `#` and brackets of their own."""
    return re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)


def _anchors(document: Path) -> set[str]:
    """The fragments that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.*)$", _prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _links(document: Path) -> Iterator[tuple[Path, str]]:
    """The file and fragment of each link within the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(document)):
        if not target.startswith("https://"):
            path, _, fragment = target.partition("#")
            yield (document.parent / path).resolve() if path else document, fragment


def _names(document: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", _prose(document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_lead_to_an_existing_file_and_heading(document: Path) -> None:
    broken = [
        f"{path}#{fragment}"
        for path, fragment in _links(document)
        if not path.exists() or (fragment and fragment not in _anchors(path))
    ]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_named_files_exist(document: Path) -> None:
    named = {name for name in _names(document) if re.fullmatch(rf"({PACKAGES})/[\w./-]*", name)} - PLACEHOLDERS
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_named_programs_exist(document: Path) -> None:
    programs = re.findall(rf"python -m ((?:{PACKAGES})[\w.]*)", document.read_text())
    paths = [ROOT / program.replace(".", "/") for program in programs]
    assert [
        path for path in paths if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists()
    ] == []


def test_the_readme_lists_every_setting_and_no_other() -> None:
    fields = {*ManagerSettings.model_fields, *WorkerSettings.model_fields, "url", "api_key"}
    _, _, table = (ROOT / "README.md").read_text().partition("\n## Settings\n")
    rows = re.findall(r"^\| `WORKMANAGER_(\w+)` \|", table.partition("\n## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted(field.upper() for field in fields)


def _sources(pattern: str) -> str:
    """Everything that runs, as one text."""
    folders = ("infra", "jobqueue", "manager", "outgoing", "processes", "scaler", "worker_node", "workmanager")
    return "\n".join(path.read_text() for folder in folders for path in sorted((ROOT / folder).rglob(pattern)))


def _monitoring(heading: str) -> set[str]:
    """The names in the first column of the tables of a section."""
    _, _, section = (ROOT / "docs/monitoring.md").read_text().partition(f"\n## {heading}\n")
    cells = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_the_monitoring_page_lists_every_log_event_and_no_other() -> None:
    source = _sources("*.py") + _sources("*.sh")
    roles = re.findall(r"^ROLE=(\w+)$", source, re.MULTILINE)
    outages = re.findall(r"Backoff\(\"(\w+)\",", source)
    events = {*re.findall(r"event=([a-z]\w*)", source)}
    events |= {f"{outage}_{state}" for outage in outages for state in ("unavailable", "available")}
    events |= {f"{role}_{event}" for role in roles for event in re.findall(r"event=\$\{ROLE\}_(\w+)", source)}
    assert _monitoring("Log events") == events


def test_the_monitoring_page_lists_every_metric_and_no_other() -> None:
    source = "".join(path.read_text() for path in sorted(ROOT.glob("manager/metrics/*.py")))
    source += (ROOT / "scaler/metrics.py").read_text() + (ROOT / "worker_node/metrics.py").read_text()
    documented = _monitoring("Metrics")
    literal = set(re.findall(r'[^f]"(workmanager_\w+)"', source))
    prefixes = tuple(re.findall(r'f"(workmanager_\w+_)\{', source))
    assert literal <= documented
    assert all(name.startswith(prefixes) for name in documented - literal)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.stem)
def test_decisions_follow_the_template(decision: Path) -> None:
    lines = decision.read_text().splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    number = int(decision.stem[:4])
    assert lines[0].startswith(f"# ADR {number}: ")
    assert re.fullmatch(r"- Status: .+", lines[2])
    assert re.fullmatch(r"- Date: \d{4}-\d\d-\d\d", lines[3])
    assert headings[:2] == ["## Context", "## Decision"]
    assert headings[-1] == "## Consequences"


def test_the_index_of_decisions_names_each_with_its_title_status_and_date() -> None:
    rows = re.findall(
        r"^\| \[(\d+)\]\((\S+)\) \| (.+) \| (.+) \| (\S+) \|$",
        (ROOT / "docs/decisions/README.md").read_text(),
        re.MULTILINE,
    )
    expected = []
    for decision in DECISIONS:
        title, _, status, date = decision.read_text().splitlines()[:4]
        number, _, name = title.removeprefix("# ADR ").partition(": ")
        row = (
            number,
            decision.name,
            name.capitalize(),
            status.removeprefix("- Status: "),
            date.removeprefix("- Date: "),
        )
        expected.append(row)
    assert [(number, file, name.capitalize(), *rest) for number, file, name, *rest in rows] == expected
