"""The bill of materials of a bundle: which packages it contains, in CycloneDX 1.6 (JSON).

The format: https://cyclonedx.org/docs/1.6/json/. The list has no time and no random number, so that the same sources
make the same bundle.
"""

import json
import re
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILE = "sbom.cdx.json"
"""Its name in the bundle."""


def bill_of_materials(site: Path) -> str:
    """Return the list of the packages that are installed in a directory."""
    found = sorted(distributions(path=[str(site)]), key=lambda each: each.name.lower())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "workmanager", "name": "workmanager", "version": version}
        },
        "components": [_component(each) for each in found],
    }
    return json.dumps(document, indent=1) + "\n"


def normalized(name: str) -> str:
    """Return the one spelling of a package's name that all spellings have in common (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _component(package: Distribution) -> dict[str, Any]:
    purl = f"pkg:pypi/{normalized(package.name)}@{package.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    }
    # PEP 639; before it, the field could hold a whole licence.
    if "License-Expression" not in package.metadata:
        return component
    return component | {"licenses": [{"expression": package.metadata["License-Expression"]}]}
