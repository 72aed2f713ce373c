"""Loader of the Lua scripts in `jobqueue/lua`: one script per file, headed by its keys, arguments and return value.

A line `-- include: _name` is replaced by `_name.lua`, which holds local functions that several scripts share, and may
include others itself. A file that is included twice stands where it is included first. A whole script can be included,
too, without its header: it is then the end of the one that includes it.
"""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_DIRECTORY = Path(__file__).parents[1] / "lua"
_HEADER_END = "\nlocal prefix = KEYS[1]\n"
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its text, and the SHA-1 under which Redis caches it."""

    name: str
    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


@cache
def script(name: str) -> Script:
    """Load the script `lua/<name>.lua` with its includes.

    Raises:
        FileNotFoundError: there is no such script, or include.
    """
    return Script(name, _read(name, set()))


def _read(name: str, included: set[str]) -> str:
    def include(match: re.Match[str]) -> str:
        if match[1] in included:
            return ""
        included.add(match[1])
        return _read(match[1], included).rpartition(_HEADER_END)[2]

    return _INCLUDE.sub(include, (_DIRECTORY / f"{name}.lua").read_text(encoding="utf-8"))
