"""Diagrams in Mermaid's language, as pictures: a site that draws them in the browser would need 3 MB of scripts."""

import re
from pathlib import Path

import mmdr

_BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_THEME = '%%{init: {"theme": "neutral", "themeVariables": {"fontFamily": "sans-serif"}}}%%\n'


def draw(text: str, page: Path) -> str:
    """Draw the diagrams of a page beside it, and return its text with images in their place."""

    def image(block: re.Match[str]) -> str:
        before = text[: block.start()]
        name = f"{page.stem}-{before.count('```mermaid') + 1}.svg"
        (page.parent / name).write_text(mmdr.render(_THEME + block[1]).svg())
        return f"![Diagram: {re.findall(r'^#+ (.+)$', before, re.MULTILINE)[-1]}]({name})"

    return _BLOCK.sub(image, text)
