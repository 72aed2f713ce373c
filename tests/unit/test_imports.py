"""Imports run one way: between packages, between the rooms of a package, and between agent and executor."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"infra", "jobqueue", "manager", "outgoing", "processes", "scaler", "worker_node", "workmanager"}
MAY_USE = {
    "processes": {"processes"},
    "outgoing": {"outgoing"},
    "jobqueue": {"jobqueue", "processes"},
    "scaler": {"scaler", "jobqueue", "processes"},
    "manager": {"manager", "scaler", "jobqueue", "outgoing", "processes"},
    "worker_node": {"worker_node", "jobqueue", "outgoing", "processes"},
    "workmanager": {"workmanager", "processes"},
    "infra": {"infra", "workmanager"},
}
ROOMS = {
    "jobqueue": (
        *(
            "errors",
            "error_message",
            "timestamps",
            "model",
            "claimed_job",
            "job_view",
            "keys",
            "functions",
            "rq_call",
            "json_text",
            "stored_values",
            "backoff",
            "settings",
            "traces",
        ),
        *("servers", "sharding", "audit", "acl", "callbacks", "lifecycle", "workers", "inspection", "maintenance"),
    ),
    "manager": (
        *("min_workers_schedule", "callbacks", "settings", "pages", "append_only", "cluster", "metrics"),
        *("siblings", "scaler_factory", "reporter", "api_keys", "jwt", "schedules"),
        *(
            "http",
            "check_settings",
            "events",
            "queue",
            "explain",
            "operations",
            "alerts",
            "schemas",
            "routes",
            "dashboard",
            "app",
            "export_openapi",
            "main_duties",
            "server",
            "__main__",
        ),
    ),
    "scaler": (
        *("policy", "fleets", "learn", "state", "observe", "metrics", "decide", "apply", "schedule", "loop", "view"),
        *("simulation", "simulate"),
    ),
    "worker_node": (
        *("functions", "priority", "job_limits", "job_environment", "job_user", "redaction", "settings", "ipc"),
        *("check_settings", "run_spans", "executor"),
        *("shard_loops", "shutdown", "slots", "stopped_callbacks", "jobs_in_hand", "agent", "metrics", "__main__"),
    ),
    "outgoing": ("addresses", "allow_list", "guard", "resolve", "client", "async_client", "answer", "exchange"),
    "workmanager": (
        *(
            "errors",
            "job",
            "store_settings",
            "append_only",
            "http",
            "client",
            "aio",
            "functions",
            "executor",
            "inline",
            "testing",
            "local",
            "commands",
            "demo",
            "__main__",
        ),
    ),
}
"""The rooms of each package, and its modules that stand in none, in the order of the layers: each imports only what
stands before it."""
EXECUTOR_MAY_USE = {
    "worker_node.executor",
    "worker_node.ipc",
    "worker_node.functions",
    "worker_node.priority",
    "worker_node.job_limits",
}
"""What runs in the child process knows nothing of the agent."""


@cache
def _modules(package: str) -> tuple[Path, ...]:
    return tuple(sorted((ROOT / package).rglob("*.py")))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = str(node.module)
            yield from ((node.lineno, _module_of(module, alias.name)) for alias in node.names)


def _module_of(module: str, name: str) -> str:
    """`from package import module` names a module, `from module import name` something inside of one."""
    inner = ROOT / module.replace(".", "/") / name
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").is_file() else module


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("package", sorted(MAY_USE))
def test_a_package_imports_only_packages_beneath_it(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _modules(package)
        for line, name in _imports(path)
        if name.split(".")[0] in OURS - MAY_USE[package]
    ]
    assert wrong == []


def test_every_package_is_looked_at() -> None:
    assert {package for package in OURS if _modules(package)} == OURS


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_a_room_imports_only_rooms_before_it(package: str) -> None:
    order = ROOMS[package]
    wrong = []
    for path in _modules(package):
        place = _name(path).split(".")[1:2]
        if not place:
            continue
        assert place[0] in order, f"{path.relative_to(ROOT)}: where does it stand in ROOMS?"
        for line, name in _imports(path):
            target = name.split(".")
            if target[0] == package and len(target) > 1 and order.index(target[1]) > order.index(place[0]):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        _name(path): {name for _, name in _imports(path) if name.split(".")[0] in OURS and name != _name(path)}
        for package in OURS
        for path in _modules(package)
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


def test_the_executor_process_imports_nothing_of_the_agent() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for room in ("executor", "ipc")
        for path in _modules(f"worker_node/{room}")
        for line, name in _imports(path)
        if name.startswith("worker_node") and ".".join(name.split(".")[:2]) not in EXECUTOR_MAY_USE
    ]
    assert wrong == []


def test_the_agent_imports_nothing_of_the_executor_process() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _modules("worker_node")
        if not _name(path).startswith("worker_node.executor")
        for line, name in _imports(path)
        if name.startswith("worker_node.executor")
    ]
    assert wrong == []


def test_the_queue_needs_rq_and_redis_alone() -> None:
    """Pydantic only where settings are read."""
    foreign = {
        (path.name, name.split(".")[0])
        for path in _modules("jobqueue")
        for _, name in _imports(path)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "jobqueue", "processes", "rq", "redis"}
    }
    assert foreign == {("settings.py", "pydantic")}


@pytest.mark.parametrize("module", ["scaler/policy.py", "processes/parent_death.py"])
def test_what_must_stand_alone_needs_the_standard_library_alone(module: str) -> None:
    names = {name.split(".")[0] for _, name in _imports(ROOT / module)}
    assert names <= sys.stdlib_module_names
