"""The running manager keeps what its OpenAPI document says: schemathesis looks for where it does not."""

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.manager.manager_program import ManagerProgram

CONFIGURATION = """
[parameters]
# Waiting is tested elsewhere.
"query.wait" = 0

[[operations]]
include-name = "GET /jobs"
# A cursor is a token: no schema can say which ones were given out.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /jobs/batch"
# Every text is a batch: what is wrong with a line is said in the answer's line.
checks.negative_data_rejection.enabled = false
"""

HOOKS = """
import schemathesis


@schemathesis.serializer("application/x-ndjson")
def as_text(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""


def test_schemathesis_finds_nothing(manager: ManagerProgram, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    (tmp_path / "hooks.py").write_text(HOOKS)
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", "schemathesis.toml", "run", f"{manager.url}/openapi.json"]
    options = ["--generation-deterministic", "--max-examples", "15", "--workers", "1", "--no-color"]
    ended = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks.py"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    # It did send requests, to every route.
    assert "21 selected / 21 total" in ended.stdout
    assert "status=500" not in manager.log
