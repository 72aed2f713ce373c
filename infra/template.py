"""`python -m infra.template`: prints the CloudFormation template, with the hosts' userdata in it.

Each `"@userdata/FILE"` of `template.yaml` is replaced by that file.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent


def render() -> str:
    """The template's text, as CloudFormation takes it."""
    source = (HERE / "template.yaml").read_text()
    # JSON's strings are YAML's.
    return re.sub(r'"@(userdata/[a-z]+\.sh)"', lambda found: json.dumps((HERE / found[1]).read_text()), source)


if __name__ == "__main__":
    sys.stdout.write(render())
