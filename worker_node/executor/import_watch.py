"""Tells when a module has been imported, for libraries that few functions use and that take long to import."""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

OnImport = Callable[[ModuleType], None]


class ImportWatch:
    """Finds modules as usual, and calls a function with each that it was asked to watch.

    One per process: create it before functions are imported. It and the loader have no base class: `importlib.abc`
    would import `tempfile`, `random` and more.
    """

    def __init__(self) -> None:
        self._watched: dict[str, OnImport] = {}
        sys.meta_path.insert(0, self)

    def call(self, name: str, on_import: OnImport) -> None:
        """Call a function with a module as soon as it is imported; at once if it has been."""
        module = sys.modules.get(name)
        if module is None:
            self._watched[name] = on_import
        else:
            on_import(module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a watched module; None for all others, which are found by others."""
        on_import = self._watched.get(fullname)
        if on_import is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = _Loader(spec.loader, on_import)
            spec.loader = loader
        return spec


class _Loader:
    def __init__(self, loader: Any, on_import: OnImport) -> None:
        self._loader = loader
        self._on_import = on_import

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._on_import(module)
