"""What the programs send to Redis themselves, beside their scripts, is a right of their Redis users."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobqueue.acl import roles

ROOT = Path(__file__).parents[3]
SUBCOMMANDS = {"cluster", "config", "function"}
EXPECTED = {
    # Sent only where functions cannot be called, and so no users of ours are.
    *(("jobqueue/sharding/shard.py", name) for name in ("eval", "evalsha")),
    ("worker_node/settings.py", "debug"),  # no command, but a level of logs
}


@pytest.mark.parametrize(
    ("directory", "names"),
    [
        ("jobqueue", ["manager", "worker"]),
        ("manager", ["manager", "administrator"]),
        ("scaler", ["manager"]),
        ("worker_node", ["worker"]),
    ],
)
def test_every_command_is_a_right_of_a_program_that_sends_it(redis_url: str, directory: str, names: list[str]) -> None:
    with redis.Redis.from_url(redis_url) as client:
        known = set(client.command())
    rights = frozenset[str]().union(*(roles()[name].commands for name in names))
    lacking = {
        f"{path}:{line}: {command}"
        for path, line, command in _commands_in(directory, known)
        if command not in rights and (path, command) not in EXPECTED
    }
    assert lacking == set()


def _commands_in(directory: str, known: set[str]) -> Iterator[tuple[str, int, str]]:
    """Yield path, line and name of each command that is written as a tuple, such as `("GET", key)`."""
    for path in sorted((ROOT / directory).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Tuple) or not node.elts or not _text(node.elts[0]).isupper():
                continue
            words = [_text(each).lower() for each in node.elts[:2]]
            if words[0] in known:
                command = "|".join(words) if words[0] in SUBCOMMANDS else words[0]
                yield str(path.relative_to(ROOT)), node.lineno, command


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
