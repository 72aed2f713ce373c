"""Callbacks are verified by npm's library for receivers, as by PyPI's in tests/unit/manager/callbacks."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.harness.environments import Environment
from manager.callbacks.signature import headers, parse_secrets
from tests.acceptance.manager.callback_receiver import OLD_SECRET, SECRET

RECEIVER = Environment("standardwebhooks", ("standardwebhooks@1.1.1",), node=True)
BODY = '{"type":"job.finished","data":{"text":"é €"}}'


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is missing: it brings the library")
def test_a_receiver_in_javascript_accepts_each_valid_secret_and_nothing_else() -> None:
    RECEIVER.ensure()
    sent = headers("a_1_finished", parse_secrets([SECRET, OLD_SECRET]), int(time.time()), BODY.encode())
    callbacks = [
        {"secret": SECRET, "headers": sent, "body": BODY},
        {"secret": OLD_SECRET, "headers": sent, "body": BODY},
        {"secret": "whsec_" + "A" * 40, "headers": sent, "body": BODY},
        {"secret": SECRET, "headers": sent, "body": BODY.replace("é", "e")},
        {"secret": SECRET, "headers": {**sent, "webhook-id": "a_2_finished"}, "body": BODY},
    ]
    # The library is found from where the program stands.
    program = Path(RECEIVER.directory) / "verify.mjs"
    shutil.copy(Path(__file__).parent / "verify.mjs", program)
    done = subprocess.run(
        ["node", str(program)], input=json.dumps(callbacks), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [json.loads(BODY)] * 2 + ["WebhookVerificationError"] * 3
