"""`python -m infra.parameters --previous FILE [--same-template] KEY=VALUE…`: print the stack's parameters.

FILE has the current parameters, as `describe-stacks` prints them. Parameters that are not given keep their values.
Those that the template no longer has are left out. If VALUE is `@FILE`, the value is the text of that file. With
`--same-template`, the stack keeps its template. `--list` prints the previous ones instead, as setup.sh reads them.
`--terraform NAME URL` prints the variables of infra/terraform instead, for a stack of that name and its template.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.template import render


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the parameters and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="infra.parameters",
        description="Merge the stack's parameters.",
    )
    parser.add_argument("--previous", type=Path, required=True)
    parser.add_argument("--same-template", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--terraform", nargs=2, metavar=("NAME", "URL"))
    parser.add_argument("changes", nargs="*", type=_change, metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    parameters = json.loads(options.previous.read_text()) or ()
    previous = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in parameters}
    if options.list:
        lines = (f"parameter\t{key}\t{value.partition(chr(10))[0]}\n" for key, value in previous.items())
        sys.stdout.write("".join(lines))
        return 0
    try:
        merged = merge(previous, dict(options.changes), list(previous) if options.same_template else names(render()))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.terraform:
        name, url = options.terraform
        json.dump({"stack_name": name, "template_url": url, "parameters": merged}, sys.stdout, indent=2)
        return 0
    json.dump([{"ParameterKey": key, "ParameterValue": value} for key, value in merged.items()], sys.stdout)
    return 0


def merge(previous: Mapping[str, str], changes: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """Return the parameters to send, in the template's order.

    Raises:
        ValueError: a changed parameter is not in the template.
    """
    if unknown := sorted(changes.keys() - set(known)):
        raise ValueError(f"the deployed version has no parameter {unknown[0]}; give --upgrade, too")
    wanted = {**previous, **changes}
    return {name: wanted[name] for name in known if name in wanted}


def names(template: str) -> list[str]:
    """Return the names of a template's parameters."""
    section = re.search(r"^Parameters:\n(.*?)^\w", template, re.DOTALL | re.MULTILINE)
    return re.findall(r"^  (\w+):$", section[1], re.MULTILINE) if section else []


def _change(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, Path(value[1:]).read_text() if value.startswith("@") else value


if __name__ == "__main__":
    sys.exit(main())
