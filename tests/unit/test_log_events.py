"""docs/monitoring.md names what a log in JSON says: each event, with its fields."""

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from processes.json_log import fields_of

ROOT = Path(__file__).parents[2]
FOLDERS = ("infra", "jobqueue", "manager", "outgoing", "processes", "scaler", "worker_node", "workmanager")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
WRITTEN_ITSELF = "request_completed"
"""It has a formatter of its own, with a test (`tests/unit/manager/http/test_access_log.py`)."""
OUTAGE = "event=%s_"
"""How the templates begin that stand for the events of each kind of outage (`jobqueue/backoff.py`)."""


def _templates() -> Iterator[str]:
    """The templates of log calls. One that is only begun by a literal counts as that."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.JoinedStr) or "event=" not in ast.unparse(node)[:10], path
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match("event=.", node.value):
                yield node.value


def _logged() -> Iterator[tuple[str, set[str]]]:
    """Each event, with its fields."""
    outages = [name for path in SOURCES for name in re.findall(r"Backoff\(\"(\w+)\",", path.read_text())]
    for template in _templates():
        for outage in outages if template.startswith(OUTAGE) else [""]:
            places = re.findall(r"%[^a-zA-Z%]*([a-zA-Z])", template.replace("%%", ""))
            arguments = tuple("" if place in "rs" else 0 for place in places)
            if outage:
                arguments = (outage, *arguments[1:])
            record = logging.LogRecord("", logging.INFO, "", 0, template, arguments, None)
            fields = fields_of(record)
            yield fields.pop("event"), {*fields} - {"text", "details"}


def _documented(end: str = "\n## ") -> Iterator[tuple[list[str], set[str]]]:
    """The events of each row, with the names that stand behind them."""
    _, _, section = (ROOT / "docs/monitoring.md").read_text().partition("\n## Log events\n")
    for row in re.findall(r"^\| (`.*) \|$", section.partition(end)[0], re.MULTILINE):
        events, rest = row.split(" | ", 1)
        yield re.findall(r"`(\w+)`", events), set(re.findall(r"`(\w+)`", rest))


def test_events_in_json_have_the_names_and_fields_of_the_monitoring_page() -> None:
    rows = {event: names for events, names in _documented() for event in events}
    logged = list(_logged())
    assert [(event, more) for event, fields in logged if (more := fields - rows.get(event, set()))] == []
    by_programs = {event for events, _ in _documented("\n### Hosts on AWS\n") for event in events}
    assert by_programs <= {WRITTEN_ITSELF, *(event for event, _ in logged)} <= {*rows}


def test_no_event_has_both_a_field_that_is_called_text_and_words_behind_a_colon() -> None:
    assert [each for each in _templates() if re.search(r"\btext=.*: ", each)] == []
