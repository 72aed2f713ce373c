"""`python -m infra.parameters --previous FILE KEY=VALUE…`: prints the stack's parameters as CloudFormation takes them.

FILE holds the present ones, as describe-stacks prints them. What is not named keeps its value; what the template does
not know any more is left out. A VALUE of `@FILE` is that file's text.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.template import render


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the parameters; the exit code."""
    parser = argparse.ArgumentParser(prog="infra.parameters", description="Merges the stack's parameters.")
    parser.add_argument("--previous", type=Path, required=True)
    parser.add_argument("changes", nargs="*", type=_change, metavar="KEY=VALUE")
    given = parser.parse_args(arguments)
    previous = {one["ParameterKey"]: one["ParameterValue"] for one in json.loads(given.previous.read_text()) or ()}
    merged = merge(previous, dict(given.changes), names(render()))
    json.dump([{"ParameterKey": key, "ParameterValue": value} for key, value in merged.items()], sys.stdout)
    return 0


def merge(previous: Mapping[str, str], changes: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """The parameters to send, in the template's order.

    Raises:
        ValueError: a change is of a parameter that the template does not have.
    """
    if unknown := sorted(changes.keys() - set(known)):
        raise ValueError(f"the template has no parameter {unknown[0]}")
    wanted = {**previous, **changes}
    return {name: wanted[name] for name in known if name in wanted}


def names(template: str) -> list[str]:
    """The names of a template's parameters."""
    section = re.search(r"^Parameters:\n(.*?)^\w", template, re.DOTALL | re.MULTILINE)
    return re.findall(r"^  (\w+):$", section[1], re.MULTILINE) if section else []


def _change(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, Path(value[1:]).read_text() if value.startswith("@") else value


if __name__ == "__main__":
    sys.exit(main())
