"""Programs for the tests of the deployment, each in a virtual environment of its own."""

import json
from pathlib import Path

from botocore.loaders import Loader

from benchmarks.harness.environments import Environment

AWS_CLI = Environment("awscli", ("awscli==1.46.2",))
MINISTACK = Environment("ministack", ("ministack==1.5.33", "cryptography==50.0.2"))

WAITING = ("cloudformation", "ec2")


def fast_waiters_environment(directory: Path) -> dict[str, str]:
    """Return environment variables with which `aws … wait` polls every second, since an emulator needs no minutes."""
    loader = Loader()
    for service in WAITING:
        version = loader.determine_latest_version(service, "waiters-2")
        described = loader.load_service_model(service, "waiters-2", version)
        for waiter in described["waiters"].values():
            waiter |= {"delay": 1, "maxAttempts": waiter["delay"] * waiter["maxAttempts"]}
        target = directory / "models" / service / version / "waiters-2.json"
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(described))
    return {"AWS_DATA_PATH": str(directory / "models")}
