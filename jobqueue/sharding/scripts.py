"""Loader of the Lua scripts in `jobqueue/lua`: one script per file, headed by its keys, arguments and return value.

A line `-- include: _name` is replaced by `_name.lua`, which holds local functions that several scripts share, and may
include others itself. A file that is included twice stands where it is included first. A whole script can be included,
too, without its header: it is then the end of the one that includes it.

A script is also a function library, for Redis users that may call functions and may not run scripts
(docs/decisions/0031). The header's line `-- Flags` has the function's flags; without it, they are `allow-oom`.
"""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FUNCTION_PREFIX = "wm_"
"""Begins the name of every library and function of this package."""
_DIRECTORY = Path(__file__).parents[1] / "lua"
_HEADER_END = "\nlocal prefix = KEYS[1]\n"
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)
_FLAGS = re.compile(r"^-- Flags    (no-writes|none)\b", re.MULTILINE)
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its text, and the names under which Redis knows it.

    Attributes:
        sha: its SHA-1, by which Redis caches scripts.
        function: its name as a function, and that of the library with this function alone. It has a hash of the text,
            so that the functions of two versions stand side by side.
    """

    name: str
    text: str
    sha: str = field(init=False)
    function: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)
        object.__setattr__(self, "function", f"{FUNCTION_PREFIX}{self.name}_{digest[:_HASH_DIGITS]}")

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of the function.

        A script may go on while the memory is full once it has removed something. A function says it beforehand.
        """
        given = _FLAGS.search(self.text.partition(_HEADER_END)[0])
        if given is None:
            return ("allow-oom",)
        return () if given[1] == "none" else (given[1],)

    def library(self, description: str) -> str:
        """Return the argument of FUNCTION LOAD. Errors in it name the script's lines, plus one.

        Args:
            description: of the function, as FUNCTION LIST shows it; without quotation marks.
        """
        flags = ", ".join(f"'{flag}'" for flag in self.flags)
        return (
            f"#!lua name={self.function}\n"
            f"redis.register_function{{function_name='{self.function}', description='{description}', flags={{{flags}}},"
            f" callback=function(KEYS, ARGV) {self.text}\nend}}\n"
        )


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
