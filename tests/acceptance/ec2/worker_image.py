"""The boot image of the tests' workers: the deployment's own user data, units and bundle format."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from infra.tracing import variable_of
from tests.ec2.simulated_cloud import SimulatedCloud

ROOT = Path(__file__).parents[3]
BUCKET = "deployment"
JOBS = "tests/acceptance/ec2/instance_jobs.py"
LEASE_SECONDS = 4


def upload_bundle(cloud: SimulatedCloud, **settings: str) -> str:
    """Build the bundle without the Python packages that this machine has, upload it, and return its URL.

    Args:
        settings: the workers' settings, as `setup.sh --set` takes them.
    """
    cloud.client("s3").create_bucket(Bucket=BUCKET)
    archive = _archive(settings)
    key = f"bundle/{hashlib.sha256(archive).hexdigest()}.tar.gz"
    cloud.client("s3").put_object(Bucket=BUCKET, Key=key, Body=archive)
    return f"s3://{BUCKET}/{key}"


def create_role(cloud: SimulatedCloud) -> str:
    """Create the workers' role, which may read the bundle; return the name of its instance profile."""
    iam = cloud.client("iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    return "worker"


def user_data(bundle: str, redis_url: str) -> str:
    """Return the user data as in the deployment's launch template."""
    variables = {
        "CLUSTER_NAME": "workmanager",
        "BUNDLE": bundle,
        "RUNTIMES": f"s3://{BUCKET}/runtime",
        "REDIS_URL": redis_url,
        "REDIS_SECRET": "",
        "CA_CERTIFICATE": "",
        "LOG_GROUP": "",
    }
    prelude = "".join(f"{name}='{value}'\n" for name, value in variables.items())
    script = "".join((ROOT / "infra/userdata" / name).read_text() for name in ("common.sh", "worker.sh"))
    return f"#!/usr/bin/env bash\n{prelude}export AWS_DEFAULT_REGION=us-east-1\n{script}"


def _archive(settings: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for package in ("jobqueue", "outgoing", "processes", "worker_node"):
            archive.add(ROOT / package, f"site/{package}", filter=_without_caches)
        archive.add(ROOT / JOBS, f"site/{JOBS}")
        archive.add(ROOT / "infra/host", "infra/host", filter=_without_caches)
        functions = JOBS.removesuffix(".py").replace("/", ".")
        all_settings = {"FUNCTIONS": functions, "LEASE_SECONDS": str(LEASE_SECONDS), **settings}
        text = "".join(f"{variable_of(name)}={value}\n" for name, value in all_settings.items()).encode()
        entry = tarfile.TarInfo("bundle.env")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry
