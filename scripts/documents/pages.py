"""The pages of the site: those that docs/README.md leads to, with what they show and link."""

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

from scripts.documents.diagrams import draw
from scripts.documents.reference import reference_pages

FRONT_PAGE = Path("docs/README.md")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^\| \[([^\]]+)\]\(([^)#]+)\) \|", re.MULTILINE)
_GENERATED = {
    "reference/http.md": ("HTTP requests", "every request, its parameters, bodies and answers"),
    "reference/commands.md": ("Commands", "every command, with all its options"),
    "reference/settings.md": ("Settings", "every setting of managers and workers, with its type and default"),
}
"""Pages that only the site has: title and content of each."""


def write_pages(root: Path, target: Path) -> None:
    """Copy the pages and the files that they link, and add those that are made from the code.

    Args:
        root: absolute path of the repository.
        target: directory that does not exist yet.
    """
    for name, text in reference_pages(root).items():
        page = target / "docs/reference" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    waiting, known = [root / FRONT_PAGE], {root / FRONT_PAGE}
    while waiting:
        source = waiting.pop()
        copy = target / source.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            copyfile(source, copy)
            continue
        text = source.read_text()
        found = set(_linked_files(source, text)) - known
        known |= found
        waiting += sorted(found)
        copy.write_text(draw(_with_navigation(source.relative_to(root), text), copy))


def _linked_files(page: Path, text: str) -> Iterator[Path]:
    for target in re.findall(r"\]\(([^)\s#]+)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        path = (page.parent / target).resolve()
        if path.is_file():
            yield path


def _with_navigation(page: Path, text: str) -> str:
    """Return the text with what the site's navigation is made from: each section of the front page is a part of it."""
    if page == FRONT_PAGE:
        heading, *rest = _SECTION.split(_with_generated_pages(text))
        sections = zip(rest[::2], rest[1::2], strict=True)
        return heading + "".join(f"## {title}{body}{_toctree(title, body)}\n" for title, body in sections)
    if page == Path("docs/decisions/README.md"):
        return text + "\n```{toctree}\n:hidden:\n:titlesonly:\n:glob:\n\n[0-9]*\n```\n"
    return text


def _with_generated_pages(text: str) -> str:
    rows = "".join(f"| [{title}]({path}) | {content} |\n" for path, (title, content) in _GENERATED.items())
    before, heading, after = text.partition("\n## Reference\n\n| | |\n|---|---|\n")
    return before + heading + rows + after


def _toctree(title: str, body: str) -> str:
    entries = "\n".join(f"{name} <{path}>" for name, path in _ENTRY.findall(body))
    return f"\n```{{toctree}}\n:hidden:\n:titlesonly:\n:caption: {title}\n\n{entries}\n```\n" if entries else ""
