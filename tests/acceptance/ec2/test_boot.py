"""From a worker's boot to its first job's result, without access to a package index."""

import re
import socket
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.acceptance.ec2.conftest import StartSystem
from tests.ec2.network import CLOUD_ADDRESS, in_network_of
from tests.otlp_receiver import OtlpReceiver
from workmanager.client import Client

MAX_BOOT_SECONDS = 30.0
LOOK_FOR_SECRETS = "tests.acceptance.ec2.instance_jobs.look_for_secrets"


def test_a_worker_runs_its_first_job_soon_after_boot_without_a_package_index(start_system: StartSystem) -> None:
    system = start_system(MIN_WORKERS="1", MAX_WORKERS="1")
    system.submit(1, 0.0)
    system.wait_until_done()
    (machine,) = system.cloud.machines.all().values()
    (job,) = system.get_json("/jobs")["jobs"]
    ended = datetime.fromisoformat(job["ended_at"]).timestamp()
    booted_at = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    steps = re.findall(r"event=worker_boot step=(\w+) uptime_seconds=([\d.]+)", machine.console)
    assert [step for step, _ in steps] == ["began", "unpacked", "runtime_ready", "worker_started"]
    assert "dnf " not in machine.console, "the image has all packages"
    seconds = ended - booted_at - float(steps[0][1])
    print(f"first job {seconds:.1f} s after the boot")  # noqa: T201  # shown by pytest -s
    assert 0 < seconds <= MAX_BOOT_SECONDS
    # The instance can reach nothing but the cloud.
    with in_network_of(machine.pid), pytest.raises(OSError, match=r"unreachable|timed out"):
        socket.create_connection(("192.0.2.1", 443), timeout=5)


def test_workers_take_the_deployments_settings_and_jobs_find_no_secret(start_system: StartSystem) -> None:
    """Jobs of queues that are not served wait. They see the variables that are named, and no file with secrets.

    They run as a user without rights, who cannot end the agent, and whom the metadata service does not hear. The spans
    of their runs reach the collector from the instance.
    """
    queues = ("high", "low")
    collector = OtlpReceiver(CLOUD_ADDRESS)
    system = start_system(
        MAX_WORKERS="1",
        QUEUES=",".join(queues),
        JOB_ENVIRONMENT="INSTANCE_ID",
        TRACES="linked",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    with collector, Client(system.managers[0].url) as client:
        unserved = client.submit("noop", queue="other")
        jobs = [client.submit("noop", queue=queue) for queue in queues]
        for job in jobs:
            assert client.job(job, wait_seconds=55)["status"] == "finished"
        found = client.job(client.submit(LOOK_FOR_SECRETS, queue="low"), wait_seconds=55)["result"]
        (worker,) = system.get_json("/workers")["workers"]
        assert [found[name] for name in ("environ", "mem", "worker.env")] == ["PermissionError"] * 3
        assert (found["user"], found["USER"], found["rights"]) == ("workmanager-jobs", "workmanager-jobs", "0" * 16)
        assert (found["kill"], found["metadata"]) == ("PermissionError", "PermissionError")
        assert found["INSTANCE_ID"] == worker["instance_id"]
        assert [name for name in found if name.startswith("WORKMANAGER_") or name == "CLUSTER_NAME"] == []
        assert worker["queues"] == list(queues)
        assert client.job(unserved)["status"] == "queued"
        (machine,) = system.cloud.machines.all().values()
        for job in jobs:
            (submission,), (run,) = collector.of_job(job, "send"), collector.of_job(job, "process")
            assert run.links == (submission.place,)
            assert collector.senders[submission.service] == {CLOUD_ADDRESS}
            assert {f"ip-{each.replace('.', '-')}" for each in collector.senders[run.service]} == {machine.host_name}
