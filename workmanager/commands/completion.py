"""`workmanager completion`: print what completes commands and options in a shell, as shtab writes it.

bash: workmanager completion bash > ~/.local/share/bash-completion/completions/workmanager
zsh:  workmanager completion zsh > "${fpath[1]}/_workmanager"
fish: workmanager completion fish > ~/.config/fish/completions/workmanager.fish
"""

import argparse
import importlib
from collections.abc import Mapping, Sequence

from workmanager.commands import COMMANDS
from workmanager.commands.arguments import CommandParser
from workmanager.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
PASSED_ON = frozenset({"manager", "worker"})
"""Their options are those of other programs."""


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    try:
        import shtab
    except ImportError as error:
        raise UsageError("completion needs a package, once, to write the file: pip install shtab") from error
    print(shtab.complete(whole_parser(COMMANDS), options.shell))
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager completion", description=__doc__)
    parser.help_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS)
    return parser


def whole_parser(commands: Mapping[str, tuple[str, str]]) -> argparse.ArgumentParser:
    """Return one parser of all commands with their options.

    Args:
        commands: module and summary of each.
    """
    parser = argparse.ArgumentParser(prog="workmanager", description="A job queue with an HTTP API.")
    choices = parser.add_subparsers(metavar="COMMAND")
    for name, (module, summary) in commands.items():
        own = [] if name in PASSED_ON else [importlib.import_module(module).make_parser()]
        choices.add_parser(name, help=summary, parents=own, add_help=not own)
    return parser
