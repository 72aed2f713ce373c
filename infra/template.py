"""`python -m infra.template`: print the CloudFormation template, with the hosts' user data inserted.

Each `"@userdata/FILE"` in `template.yaml` is replaced by the text of that file.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent


def render() -> str:
    """Return the template's text for CloudFormation."""
    source = (HERE / "template.yaml").read_text()
    # A JSON string is a YAML string.
    return re.sub(r'"@(userdata/[a-z]+\.sh)"', lambda found: json.dumps((HERE / found[1]).read_text()), source)


if __name__ == "__main__":
    sys.stdout.write(render())
