"""Imports run one way: manager -> scaler -> jobqueue, worker_node -> jobqueue, jobqueue -> rq and redis."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"infra", "jobqueue", "manager", "processes", "scaler", "worker_node", "workmanager"}
MAY_USE = {
    "processes": {"processes"},
    "jobqueue": {"jobqueue", "processes"},
    "scaler": {"scaler", "jobqueue", "processes"},
    "manager": {"manager", "scaler", "jobqueue", "processes"},
    "worker_node": {"worker_node", "jobqueue", "processes"},
    "workmanager": {"workmanager", "processes"},
    "infra": {"infra", "workmanager"},
}


def _modules(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, str(node.module)


@pytest.mark.parametrize("package", sorted(MAY_USE))
def test_a_package_imports_only_what_lies_beneath_it(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _modules(package)
        for line, name in _imports(path)
        if name.split(".")[0] in OURS - MAY_USE[package]
    ]
    assert wrong == []


def test_every_package_is_looked_at() -> None:
    assert {package for package in OURS if any(_modules(package))} >= {
        "jobqueue",
        "scaler",
        "worker_node",
        "workmanager",
    }


def test_the_queue_stands_on_rq_and_redis_alone() -> None:
    """Pydantic only where settings are read."""
    foreign = {
        (path.name, name.split(".")[0])
        for path in _modules("jobqueue")
        for _, name in _imports(path)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "jobqueue", "rq", "redis"}
    }
    assert foreign == {("settings.py", "pydantic")}


def test_the_scalers_policy_needs_the_standard_library_alone() -> None:
    names = {name.split(".")[0] for _, name in _imports(ROOT / "scaler" / "policy.py")}
    assert names <= sys.stdlib_module_names
