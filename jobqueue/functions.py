"""Function registry: the functions that jobs may call, built-in ones and those of the operator's modules.

Modules are located and their source is parsed, but never imported: a manager runs no user code.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobqueue.errors import JobQueueError

BUILT_IN: Mapping[str, str] = {
    "sha512": "worker_node.functions.sha512",
    "http": "worker_node.functions.http",
    "sleep": "worker_node.functions.sleep",
    "noop": "worker_node.functions.noop",
}
"""Public name -> import path of the functions that every worker has."""


class UnknownModule(JobQueueError):
    """A module named in WORKMANAGER_FUNCTIONS has no source file on the import path, or its source cannot be parsed."""


@dataclass(frozen=True, slots=True)
class FunctionRegistry:
    """The registered functions.

    Attributes:
        paths: public name -> import path.
        modules: the operator's modules. Jobs of plain RQ clients may call all their public attributes, even methods.
    """

    paths: Mapping[str, str]
    modules: frozenset[str]

    @classmethod
    def discover(cls, modules: Iterable[str], search_path: Iterable[str] | None = None) -> "FunctionRegistry":
        """Register the built-in functions and every public function of `modules`.

        Raises:
            UnknownModule: a module cannot be found or parsed.
        """
        names = [name.strip() for name in modules if name.strip()]
        directories = [Path(entry or ".") for entry in (sys.path if search_path is None else search_path)]
        paths = dict(BUILT_IN)
        for module in names:
            for function in _public_functions(module, directories):
                paths[f"{module}.{function}"] = f"{module}.{function}"
        return cls(paths=paths, modules=frozenset(names))

    @property
    def names(self) -> tuple[str, ...]:
        """Every public name, sorted."""
        return tuple(sorted(self.paths))

    def path_of(self, name: str) -> str | None:
        """Return the import path of a public name; None if it is not registered."""
        return self.paths.get(name)

    def name_of(self, path: str) -> str | None:
        """Return the public name of an import path, as stored in a job's record; None if it may not be called."""
        if path in self.paths and path not in BUILT_IN:
            return path
        for name, built_in in BUILT_IN.items():
            if path == built_in:
                return name
        module = self.module_of(path)
        if module is None:
            return None
        attributes = path.removeprefix(module + ".").split(".")
        return None if any(name.startswith("_") for name in attributes) else path

    def module_of(self, path: str) -> str | None:
        """Return the longest registered module that contains `path`; None if there is none."""
        candidates = [module for module in self.modules if path.startswith(module + ".")]
        return max(candidates, key=len, default=None)


def _public_functions(module: str, directories: Iterable[Path]) -> Iterator[str]:
    source = _find_source(module, directories)
    try:
        tree = ast.parse(source.read_bytes(), filename=str(source))
    except (SyntaxError, ValueError) as error:
        raise UnknownModule(f"module {module!r} cannot be parsed: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name


def _find_source(module: str, directories: Iterable[Path]) -> Path:
    relative = Path(*module.split("."))
    for directory in directories:
        for candidate in (directory / relative.with_suffix(".py"), directory / relative / "__init__.py"):
            if candidate.is_file():
                return candidate
    raise UnknownModule(f"module {module!r} has no source file on the import path")
