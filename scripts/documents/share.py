"""Write what a wheel installs into `share/`: `python -m scripts.documents.share [DIRECTORY]`, which is `build/share`.

The man pages, and what completes commands in bash, zsh and fish. `pyproject.toml` puts them into a wheel if they are
there when it is built.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import shtab

from scripts.documents.man_pages import man_pages
from workmanager.commands import COMMANDS
from workmanager.commands.completion import whole_parser

DEFAULT_TARGET = Path(__file__).parents[2] / "build/share"
COMPLETIONS = {
    "bash": "bash-completion/completions/workmanager",
    "zsh": "zsh/site-functions/_workmanager",
    "fish": "fish/vendor_completions.d/workmanager.fish",
}
"""Where shells look for them, below `share/`."""


def share() -> Mapping[str, str]:
    """Return the text of each file by its path below `share/`."""
    parser = whole_parser(COMMANDS)
    completions = {path: shtab.complete(parser, shell) for shell, path in COMPLETIONS.items()}
    return {f"man/man1/{name}": text for name, text in man_pages().items()} | completions


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_TARGET
    for name, text in share().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.stdout.write(f"{target}\n")
