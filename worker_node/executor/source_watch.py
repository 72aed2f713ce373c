"""Watch on the source of job functions, so that an edit counts for the next job (WORKMANAGER_RELOAD_FUNCTIONS).

Watched are the operator's modules and what they import, except installed packages and the standard library.
"""

import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from jobqueue.functions import FileVersion, FunctionRegistry, file_version

_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


class SourceWatch:
    """Notices edits since the modules were imported. Modules that are imported before this is created do not count."""

    def __init__(self, functions: FunctionRegistry) -> None:
        self._functions = functions
        self._installed = tuple({sysconfig.get_path(name) for name in _INSTALLED})
        self._known = set(sys.modules)
        self._versions: list[FileVersion] = []

    def note_imports(self) -> None:
        """Watch the modules that were imported since the last call."""
        if len(sys.modules) == len(self._known):
            return
        # A copy: another thread of a job may import something now.
        for name, module in list(sys.modules.items()):
            if name not in self._known:
                self._known.add(name)
                version = self._version(module)
                if version is not None:
                    self._versions.append(version)

    def have_changed(self) -> bool:
        """Return whether the source of a watched module has changed."""
        return self._functions.have_changed() or any(file_version(each.path) != each for each in self._versions)

    def _version(self, module: ModuleType) -> FileVersion | None:
        source = getattr(module, "__file__", None)
        if not isinstance(source, str) or not source.endswith(".py") or source.startswith(self._installed):
            return None
        return None if "dist-packages" in source else file_version(Path(source))
