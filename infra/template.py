"""`python -m infra.template [PARTITION]`: print the CloudFormation template, with the hosts' user data inserted.

Each `"@userdata/FILE"` in `template.yaml` is replaced by the text of that file. Only the partition aws has AWS Budgets.
CloudFormation refuses a template with a type of resource that its region does not have, and no document says whether it
does so, too, if the resource's condition is false. So for others, what has the condition `Budgeted` is left out.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
AWS = "aws"
BUDGETED = re.compile(r"^  \w+:\n    Type: .+\n    Condition: Budgeted\n(?:    .*\n)+", re.MULTILINE)


def render(partition: str = AWS) -> str:
    """Return the template's text for CloudFormation."""
    source = (HERE / "template.yaml").read_text()
    if partition != AWS:
        source = BUDGETED.sub("", source)
    # A JSON string is a YAML string.
    return re.sub(r'"@(userdata/[a-z]+\.sh)"', lambda found: json.dumps((HERE / found[1]).read_text()), source)


if __name__ == "__main__":
    sys.stdout.write(render(*sys.argv[1:2]))
