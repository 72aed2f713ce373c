"""Programs for the tests of the deployment, each in a virtual environment of its own."""

import atexit
import functools
import json
import subprocess
import tempfile
from pathlib import Path

from botocore.loaders import Loader

from benchmarks.harness.environments import Environment
from tests.infra import aws_server
from tests.waiting import until

AWS_CLI = Environment("awscli", ("awscli==1.46.2",))
MINISTACK = Environment("ministack", ("ministack==1.5.33", "cryptography==50.0.2"))

WAITING = ("cloudformation", "ec2")


@functools.cache
def fast_aws() -> Path:
    """Return a program that does what aws-cli does, in a fraction of its time. All tests of a process share it."""
    return start_fast_aws()


def start_fast_aws() -> Path:
    """Return such a program, for the network that this thread is in."""
    AWS_CLI.ensure()
    directory = Path(tempfile.mkdtemp(prefix="aws-"))
    path, program = directory / "server", directory / "aws"
    process = subprocess.Popen([AWS_CLI.python, aws_server.__file__, str(path)])
    atexit.register(process.kill)
    program.write_text(aws_server.CLIENT.format(python=AWS_CLI.python, path=path))
    program.chmod(0o755)
    until(path.exists, wanted="the start of aws-cli's server")
    return program


def fast_waiters_environment(directory: Path) -> dict[str, str]:
    """Return environment variables with which `aws … wait` polls often, since an emulator needs no minutes."""
    loader = Loader()
    for service in WAITING:
        version = loader.determine_latest_version(service, "waiters-2")
        described = loader.load_service_model(service, "waiters-2", version)
        for waiter in described["waiters"].values():
            waiter |= {"delay": 0.2, "maxAttempts": 5 * waiter["delay"] * waiter["maxAttempts"]}
        target = directory / "models" / service / version / "waiters-2.json"
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(described))
    return {"AWS_DATA_PATH": str(directory / "models")}
