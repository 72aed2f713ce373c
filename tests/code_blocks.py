"""The code blocks of the documents, and the commands of those that are for a shell."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("benchmarks/**/*.md")]
)
_FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SEPARATORS = ";|&()\n"
_REDIRECTIONS = "<>"


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block. `language` is empty for what programs print."""

    page: Path
    heading: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command of a shell: the variables before it, its name and its arguments."""

    variables: Sequence[str]
    words: Sequence[str]


def code_blocks(*languages: str) -> list[CodeBlock]:
    """Return the blocks of all pages in these languages; in all of them if none is named."""
    blocks = [
        CodeBlock(page, _heading(before), before.count("\n") + 1, found[1], found[2])
        for page in PAGES
        for text in [page.read_text()]
        for found in _FENCED.finditer(text)
        for before in [text[: found.start()]]
    ]
    return [block for block in blocks if not languages or block.language in languages]


def _heading(before: str) -> str:
    """Return the heading under which a text ends."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", before), re.MULTILINE)
    return str(headings[-1]) if headings else ""


def commands(script: str) -> Iterator[Command]:
    """Yield the simple commands of a script, those in an unquoted `$(…)` included."""
    without_comments = re.sub(r"(^|\s+)# .*$", "", script.replace("\\\n", " "), flags=re.MULTILINE)
    lexer = shlex.shlex(without_comments, posix=True, punctuation_chars=_SEPARATORS + _REDIRECTIONS)
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    words: list[str] = []
    skip_next = False
    for token in [*lexer, "\n"]:
        if set(token) <= set(_REDIRECTIONS):
            skip_next = True
        elif set(token) <= set(_SEPARATORS + _REDIRECTIONS):
            yield from _command(words)
            words = []
        elif skip_next:
            skip_next = False
        else:
            words.append(token)


def _command(words: Sequence[str]) -> Iterator[Command]:
    rest = [word for word in words if word not in {"export", "do", "then", "exec"}]
    variables = []
    while rest and re.match(r"\w+=", rest[0]):
        variables.append(rest.pop(0).partition("=")[0])
    if variables or rest:
        yield Command(variables, rest)
