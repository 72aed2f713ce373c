"""The OpenAPI document: schemathesis checks a running manager against it, and openapi.json is a copy of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram

OPENAPI_FILE = Path(__file__).parents[3] / "openapi.json"
REGENERATE = "python -m manager.export_openapi > openapi.json"

CONFIGURATION = """
[parameters]
# Waiting is tested elsewhere.
"query.wait" = 0

[[operations]]
include-name = "GET /jobs"
# A cursor is an opaque token: no schema can describe the valid ones.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /jobs/batch"
# Every text is a batch: an invalid line is answered with an error line.
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
    # Requests were sent to every route.
    assert "29 selected / 29 total" in ended.stdout
    assert "status=500" not in manager.log


def test_openapi_json_is_the_document_of_a_running_manager(start: Start, redis_url: str) -> None:
    manager = start(redis_url, API_KEYS="a-key-of-some-length").wait_until_ready()
    with manager.client() as client:
        served = client.get("/openapi.json", headers={"Authorization": "Bearer a-key-of-some-length"}).json()
    stored = json.loads(OPENAPI_FILE.read_text())
    # The version is that of the installed package, if it is installed.
    served["info"].pop("version")
    stored["info"].pop("version")
    assert served == stored, f"openapi.json is outdated: run `{REGENERATE}`"
