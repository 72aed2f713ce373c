"""Function registry: the functions that jobs may call, built-in ones and those of the operator's modules.

Modules are located and their source is parsed, but never imported: a manager runs no user code.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

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


class FileVersion(NamedTuple):
    """What tells, without reading it, that a source file was edited or replaced."""

    path: Path
    modified_ns: int
    size: int
    inode: int


@dataclass(slots=True)
class FunctionRegistry:
    """The registered functions.

    Attributes:
        paths: public name -> import path.
        modules: the operator's modules. Jobs of plain RQ clients may call all their public attributes, even methods.
        unreadable: why the functions of a module are not known, by module: it is missing or cannot be parsed.
        reloads: whether edited sources are read again whenever a function is looked up by its public name.
    """

    paths: Mapping[str, str]
    modules: frozenset[str]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    reloads: bool = False
    _names: Sequence[str] = ()
    _directories: Sequence[Path] = ()
    _files: Mapping[str, FileVersion | None] = field(default_factory=dict)

    @classmethod
    def discover(cls, modules: Iterable[str], search_path: Iterable[str] | None = None) -> "FunctionRegistry":
        """Register the built-in functions and every public function of `modules`.

        Raises:
            UnknownModule: a module cannot be found or parsed.
        """
        registry = cls.load(modules, search_path)
        for reason in registry.unreadable.values():
            raise UnknownModule(reason)
        return registry

    @classmethod
    def load(
        cls, modules: Iterable[str], search_path: Iterable[str] | None = None, *, reloads: bool = False
    ) -> "FunctionRegistry":
        """Register the built-in functions and those of the modules that can be read; note why others cannot."""
        names = [name.strip() for name in modules if name.strip()]
        registry = cls(
            paths=BUILT_IN,
            modules=frozenset(names),
            reloads=reloads,
            _names=names,
            _directories=[Path(entry or ".") for entry in (sys.path if search_path is None else search_path)],
        )
        registry._read()
        return registry

    @property
    def missing(self) -> Mapping[str, str]:
        """The part of `unreadable` that has no source file on the import path."""
        return {name: reason for name, reason in self.unreadable.items() if self._files[name] is None}

    @property
    def names(self) -> tuple[str, ...]:
        """Every public name, sorted."""
        self._reload_if_changed()
        return tuple(sorted(self.paths))

    def path_of(self, name: str) -> str | None:
        """Return the import path of a public name; None if it is not registered."""
        if name not in BUILT_IN:
            self._reload_if_changed()
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

    def why_not_registered(self) -> list[str]:
        """Return why the functions of some modules are not known, a sentence for each."""
        self._reload_if_changed()
        return list(self.unreadable.values())

    def why_unreadable(self, path: str) -> str | None:
        """Return why no function of the module that contains `path` is known; None if its source can be read."""
        return self.unreadable.get(self.module_of(path) or "")

    def have_changed(self) -> bool:
        """Return whether the source of a module was edited, added or removed since it was read."""
        return any(self._find(name) != version for name, version in self._files.items())

    def _reload_if_changed(self) -> None:
        if self.reloads and self.have_changed():
            self._read()

    def _read(self) -> None:
        paths, unreadable = dict(BUILT_IN), {}
        files: dict[str, FileVersion | None] = {}
        for module in self._names:
            # Before the source is read: an edit in between is then noticed at the next look.
            version = files[module] = self._find(module)
            try:
                if not _is_module_name(module):
                    raise UnknownModule(f"{module!r} is not the name of a module, such as 'billing' or 'shop.orders'")
                if version is None:
                    raise UnknownModule(f"module {module!r} has no source file on the import path (see PYTHONPATH)")
                for function in _public_functions(module, version.path):
                    paths[f"{module}.{function}"] = f"{module}.{function}"
            except UnknownModule as error:
                unreadable[module] = str(error)
        self.paths, self.unreadable, self._files = paths, unreadable, files

    def _find(self, module: str) -> FileVersion | None:
        if not _is_module_name(module):
            return None
        relative = Path(*module.split("."))
        for directory in self._directories:
            for candidate in (directory / relative.with_suffix(".py"), directory / relative / "__init__.py"):
                version = file_version(candidate)
                if version is not None:
                    return version
        return None


def _is_module_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def file_version(path: Path) -> FileVersion | None:
    """Return the version of a file; None if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return FileVersion(path, status.st_mtime_ns, status.st_size, status.st_ino) if S_ISREG(status.st_mode) else None


def source_hash(path: Path) -> str:
    """Return 12 hexadecimal digits that name this version of a source file; '' if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError:
        return ""


def _public_functions(module: str, source: Path) -> Iterator[str]:
    try:
        tree = ast.parse(source.read_bytes(), filename=str(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        raise UnknownModule(f"module {module!r} cannot be parsed: {_describe(error)}") from error
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name


def _describe(error: Exception) -> str:
    # The error's own text repeats only the file's name, not its directory.
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.msg} ({error.filename}, line {error.lineno})"
    return f"{type(error).__name__}: {error}" if isinstance(error, (RecursionError, MemoryError)) else str(error)
