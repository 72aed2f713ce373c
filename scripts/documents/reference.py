"""Pages that are made from the code: every command with its options, every setting."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobqueue.settings import QueueSettings
from manager.settings import ManagerSettings
from scripts.documents.command_parsers import command_parsers, help_texts
from scripts.documents.http_reference import BOUNDS, http_page
from worker_node.settings import WorkerSettings
from workmanager.commands import COMMANDS

_COMMANDS_INTRODUCTION = """\
Every command and its options, as `workmanager COMMAND --help` prints them. [Command line](../command-line.md) says what
holds for all of them.
"""
_SETTINGS_INTRODUCTION = """\
Every setting of managers and workers, from the code that reads it. [Settings](../../README.md#settings) says where they
may stand.
"""


def reference_pages(root: Path) -> Mapping[str, str]:
    """Return the text of each page by its name below docs/reference/."""
    return {
        "http.md": http_page(json.loads((root / "openapi.json").read_text())),
        "commands.md": commands_page(),
        "settings.md": settings_page((root / "README.md").read_text()),
    }


def commands_page() -> str:
    """Return the help of every command."""
    lines = ["# Commands", "", _COMMANDS_INTRODUCTION]
    for name, parser in command_parsers().items():
        lines += [f"## workmanager {name}", "", f"{COMMANDS[name][1].capitalize()}.", ""]
        lines += [f"```text\n{text.strip()}\n```\n" for text in help_texts(parser)]
    return "\n".join(lines)


def settings_page(readme: str) -> str:
    """Return type, bounds and default of every setting from the code, with the meaning that the README gives it."""
    rows = re.findall(r"^\| `WORKMANAGER_(\w+)` \| (.*?) \| (.*) \|$", readme, re.MULTILINE)
    documented = {name.lower(): (default, _from_reference(meaning)) for name, default, meaning in rows}
    shared = set(QueueSettings.model_fields)
    sections = {
        "Managers and workers": (QueueSettings, shared),
        "Managers": (ManagerSettings, ManagerSettings.model_fields.keys() - shared),
        "Workers": (WorkerSettings, WorkerSettings.model_fields.keys() - shared),
    }
    lines = ["# Settings of managers and workers", "", _SETTINGS_INTRODUCTION]
    for heading, (model, names) in sections.items():
        lines += [f"## {heading}", "", "| Variable | Type | Default | Meaning |", "|---|---|---|---|"]
        properties = model.model_json_schema()["properties"]
        for name in (name for name in model.model_fields if name in names):
            otherwise, meaning = documented[name]
            kind = _kind(properties[name]) + ("" if model.model_fields[name].repr else ", secret")
            default = _default(properties[name]) or otherwise
            lines.append(f"| `WORKMANAGER_{name.upper()}` | {kind} | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def _kind(schema: Mapping[str, Any]) -> str:
    """Return what values a setting takes, in a few words."""
    if "anyOf" in schema:
        kinds = [_kind(choice) for choice in schema["anyOf"] if choice.get("type") != "null"]
        return " or ".join(kinds) + ", or unset"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = {"array": "list", "string": "text", "boolean": "true or false", "integer": "whole number"}
    bounds = [f"{sign} {schema[key]:,.10g}" for key, sign in BOUNDS.items() if key in schema]
    return ", ".join([kind.get(str(schema.get("type")), str(schema.get("type"))), *bounds])


def _default(schema: Mapping[str, Any]) -> str:
    """Return the default of the code; empty if it has none, or computes it."""
    default = schema.get("default")
    if default in (None, "", []):
        return ""
    if isinstance(default, list):
        return f"`{','.join(map(str, default))}`"
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _from_reference(text: str) -> str:
    """Return a text of the README with links that lead from a page of docs/reference/."""
    text = re.sub(r"\]\(docs/", "](../", text)
    return re.sub(r"\]\(#", "](../../README.md#", text)
