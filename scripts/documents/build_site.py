"""Build the site: `python -m scripts.documents.build_site [DIRECTORY]`. A warning, as of a broken link, is an error."""

import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main

from scripts.documents.pages import write_pages

ROOT = Path(__file__).parents[2]
DEFAULT_TARGET = ROOT / "build/site"
OPTIONS = ("-q", "-c", str(Path(__file__).parent), "-n", "--keep-going")
"""Links that lead nowhere are warnings (-n), and all warnings are told (--keep-going), also if they are errors (-W)."""


def build_site(target: Path) -> int:
    """Write the site into a directory, and return 0; 1 if a page has a fault, which standard error names.

    A site that stands there is removed first, since pages may have gone.
    """
    if (target / "objects.inv").exists():  # Each site of Sphinx has this file.
        shutil.rmtree(target)
    with tempfile.TemporaryDirectory() as directory:
        pages = Path(directory, "pages")
        write_pages(ROOT, pages)
        return build_main([*OPTIONS, "-W", "-b", "html", "-d", f"{directory}/doctrees", str(pages), str(target)])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_TARGET
    code = build_site(target)
    if code == 0:
        sys.stdout.write(f"{target / 'index.html'}\n")
    sys.exit(code)
