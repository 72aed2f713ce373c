"""The OpenAPI document: schemathesis checks a running manager against it, and openapi.json is a copy of it.

`WORKMANAGER_TEST_API_EXAMPLES=50` sends so many requests to each route, others each time (`./scripts/dev.sh api`).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from manager.callbacks.target import MAX_URL_CHARACTERS, URL_PATTERN
from tests.acceptance.manager.callback_receiver import SECRET
from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

OPENAPI_FILE = Path(__file__).parents[3] / "openapi.json"
REGENERATE = "python -m manager.export_openapi > openapi.json"
EXAMPLES = int(os.environ.get("WORKMANAGER_TEST_API_EXAMPLES", "0"))
"""0: a few, the same each time."""
FOREIGN_QUEUE, SECRET_NOTE = "of-somebody-else", "TOP-SECRET"

CONFIGURATION = """
[parameters]
# Waiting is tested elsewhere.
"query.wait" = 0

[[operations]]
include-name = "GET /jobs"
# A cursor is an opaque token: no schema can describe the valid ones.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "GET /callbacks"
# The same.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "GET /schedules/preview"
# No schema can describe the valid cron expressions and time zones.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "PUT /schedules/{name}"
# The same.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /jobs/batch"
# Every text is a batch: an invalid line is answered with an error line.
checks.negative_data_rejection.enabled = false
"""

HOOKS = f"""
import re
import schemathesis

URL = re.compile("^(?:" + {URL_PATTERN!r} + r")\\Z")


@schemathesis.hook
def before_call(context, case, kwargs):
    # No schema can describe which hosts are permitted, which jobs exist, and that keys of a list differ.
    if case.path == "/jobs/wait" and isinstance(case.body, dict) and is_wait(case.body.get("timeout", 45)):
        case.body["timeout"] = 0  # Waiting is tested elsewhere.
    make_valid(case.body)
    make_valid(case.query)


def make_valid(part):
    if isinstance(part, dict):
        part.pop("depends_on", None)
        if isinstance(part.get("limits"), list):
            del part["limits"][1:]
    for name, value in list(part.items()) if isinstance(part, dict) else ():
        if isinstance(value, dict):
            make_valid(value)
        elif name in ("callback_url", "url") and isinstance(value, str) and len(value) <= {MAX_URL_CHARACTERS}:
            part[name] = URL.sub("listen:tests", value)


def is_wait(value):
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 55)


@schemathesis.serializer("application/x-ndjson")
def as_text(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""

KEYS_IN_TURN = """
import itertools
import os

_keys = itertools.cycle(os.environ["TEST_KEYS"].split(","))


@schemathesis.check
def nothing_of_another_tenant(context, response, case):
    request, secret = response.request, os.environ["TEST_SECRET"]
    # A request can repeat what other keys have been shown, and errors repeat the request.
    was_told = secret in f"{request.url} {request.body}"
    if request.headers.get("Authorization", "").endswith(os.environ["TEST_BOUND_KEY"]) and not was_told:
        assert secret not in response.text, "the key is bound to queues, and this is of another"


@schemathesis.auth(refresh_interval=None)
class KeysInTurn:
    def get(self, case, context):
        return next(_keys)

    def set(self, case, key, context):
        case.headers["Authorization"] = f"Bearer {key}"
"""


def run_schemathesis(
    document: str,
    manager: ManagerProgram,
    directory: Path,
    hooks: str,
    examples: int,
    *options: str,
    **environment: str,
) -> None:
    """Run it against a manager and check that it finds nothing."""
    (directory / "schemathesis.toml").write_text(CONFIGURATION)
    (directory / "hooks.py").write_text(hooks)
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", "schemathesis.toml", "run", document, "--url", manager.url]
    command += ["--max-examples", str(EXAMPLES or examples), "--workers", "1", "--no-color", *options]
    ended = subprocess.run(
        command if EXAMPLES else [*command, "--generation-deterministic"],
        cwd=directory,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks.py"} | environment,
        capture_output=True,
        text=True,
        timeout=None if EXAMPLES else 600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    operations = sum(len(methods) for methods in json.loads(OPENAPI_FILE.read_text())["paths"].values())
    assert f"{operations} selected / {operations} total" in ended.stdout, "requests were sent to every route"
    assert "status=500" not in manager.log


def test_schemathesis_finds_nothing(manager: ManagerProgram, tmp_path: Path) -> None:
    run_schemathesis(f"{manager.url}/openapi.json", manager, tmp_path, HOOKS, 15)


def test_schemathesis_finds_nothing_with_keys_of_every_scope(
    start: Start, private_server: ValkeyServer, tmp_path: Path
) -> None:
    manager = start(private_server.url, API_KEYS=OPERATOR, CALLBACK_SECRETS=SECRET).wait_until_ready()
    submit_of_somebody_else(manager)
    keys = [create(manager, scope)["key"] for scope in ("jobs:write", "jobs:read", "results:pull", "admin")]
    bound = create(manager, "jobs:write", "jobs:read", queues=["default", "a*"])["key"]
    keys.append(bound)
    keys.append(create(manager, "jobs:write", "jobs:read", limits={"requests_per_second": 1})["key"])
    run_schemathesis(
        *(str(OPENAPI_FILE), manager, tmp_path, HOOKS + KEYS_IN_TURN, 3, "--phases", "coverage,stateful"),
        TEST_KEYS=",".join(keys),
        TEST_BOUND_KEY=bound,
        TEST_SECRET=SECRET_NOTE,
    )
    for key in keys:
        assert f"key={key.split('_')[1]}" in manager.log
    assert {"status=401", "status=403", "status=429"} <= set(manager.log.split())


def submit_of_somebody_else(manager: ManagerProgram) -> None:
    """Submit what no key that is bound to other queues may see, of each kind."""
    job = {"function": "noop", "queue": FOREIGN_QUEUE, "meta": {"note": SECRET_NOTE}, "labels": {"note": SECRET_NOTE}}
    every = {"every": "1h", "job": job}
    with as_(manager, OPERATOR) as operator:
        for body in (job, {**job, "delay": 600}, {**job, "callback_url": "listen:somebody"}):
            operator.post("/jobs", json=body).raise_for_status()
        operator.post("/workflows", json={"jobs": {"a": job}}).raise_for_status()
        operator.put(f"/schedules/{FOREIGN_QUEUE}", json=every).raise_for_status()
        wanted = {"queue": FOREIGN_QUEUE, "label": f"note:{SECRET_NOTE}"}
        operator.post("/operations", json={"action": "requeue", "filter": wanted}).raise_for_status()


def test_openapi_json_is_the_document_of_a_running_manager(start: Start, redis_url: str) -> None:
    manager = start(redis_url, API_KEYS="a-key-of-some-length").wait_until_ready()
    with manager.client() as client:
        served = client.get("/openapi.json", headers={"Authorization": "Bearer a-key-of-some-length"}).json()
    stored = json.loads(OPENAPI_FILE.read_text())
    # The version is that of the installed package, if it is installed.
    served["info"].pop("version")
    stored["info"].pop("version")
    assert served == stored, f"openapi.json is outdated: run `{REGENERATE}`"
