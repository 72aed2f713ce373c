"""The parsers of `workmanager` and its commands, those of managers and workers included."""

import argparse
import importlib
from collections.abc import Iterator, Mapping

from manager.__main__ import make_parser as make_manager_parser
from worker_node.settings import WorkerSettings
from worker_node.settings import make_parser as make_worker_parser
from workmanager.commands import COMMANDS
from workmanager.commands.completion import PASSED_ON

WIDTH = 100
"""Characters in a line of help."""


def command_parsers() -> Mapping[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    parsers = {
        name: importlib.import_module(module).make_parser()
        for name, (module, _) in COMMANDS.items()
        if name not in PASSED_ON
    }
    passed_on = {"manager": make_manager_parser(), "worker": make_worker_parser(WorkerSettings())}
    for name, parser in passed_on.items():
        parser.prog = f"workmanager {name}"
    return {name: {**parsers, **passed_on}[name] for name in COMMANDS}


def actions_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the parsers of a command's actions, such as `create` of `workmanager keys`; none if it has none."""
    return {
        name: own
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, own in action.choices.items()
    }


def help_texts(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield what `--help` prints for a command, then for each of its actions."""
    for each in (parser, *actions_of(parser).values()):
        formatter = each.formatter_class
        each.formatter_class = lambda prog, made=formatter: made(prog, width=WIDTH)
        yield each.format_help()
