"""A simulated AWS for tests: one endpoint, instances that really run, faults, and a log of what happened."""

import base64
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from tests.ec2.ec2_api import Ec2Api
from tests.ec2.event_log import EventLog
from tests.ec2.faults import Faults
from tests.ec2.machine_supervisor import MachineSupervisor
from tests.ec2.network import CLOUD_ADDRESS

REGION = "us-east-1"
_IMAGE = "ami-12c6146b"


class SimulatedCloud:
    """The simulated AWS, as a context manager.

    One per process at a time: moto keeps its state in globals, which each new cloud clears.
    Its instances really run inside `isolated_network`. Elsewhere pass an address of this machine and `boots=False`.

    Args:
        directory: for the machines' files.
        boots: whether instances really run.
        environ: environment of every process on an instance, in addition to the endpoint's address.
        shared: directories that the instances share with this machine.
        commands: additional programs on every instance: text by path, such as `usr/local/bin/mount`.
        region: the region of its clients.

    Attributes:
        faults: what goes wrong.
        events: what happened.
        machines: what runs.
        lock: held while a call to EC2 takes effect.
    """

    def __init__(
        self,
        directory: Path,
        *,
        boots: bool = True,
        address: str = CLOUD_ADDRESS,
        environ: Mapping[str, str] | None = None,
        shared: Sequence[Path] = (),
        commands: Mapping[str, str] | None = None,
        region: str = REGION,
    ) -> None:
        moto_api_backend.reset()
        self.faults, self.events = Faults(), EventLog()
        api = Ec2Api(self.faults, self.events, instances_linger=boots)
        self.lock = api.lock
        self._server = make_server(address, 0, api, threaded=True, request_handler=_QuietHandler)
        self.endpoint = f"http://{address}:{self._server.server_port}"
        self.region = region
        self._boots = boots
        self.machines = MachineSupervisor(
            api,
            self.events,
            directory,
            credentials=self._credentials,
            environ={"AWS_ENDPOINT_URL": self.endpoint, **(environ or {})},
            shared=shared,
            commands=commands or {},
        )
        api.read_console = lambda instance_id: self.machines.all()[instance_id].console
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if self._boots:
            self.machines.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._boots:
                self.machines.close()
                for instance_id, machine in self.machines.all().items():
                    # pytest shows stderr with a failure.
                    sys.stderr.write(f"--- console of {instance_id}\n{machine.console}")
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables with which programs on this machine use the cloud."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of the cloud that does not retry."""
        return boto3.client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # moto takes any
            config=Config(retries={"total_max_attempts": 1}),
        )

    def subnets(self) -> dict[str, str]:
        """Return the default VPC's subnets: id by availability zone."""
        found = self.client("ec2").describe_subnets()["Subnets"]
        return {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in found}

    def create_template(self, user_data: str, **data: Any) -> str:
        """Create a launch template for instances that terminate when they shut down; return its id."""
        content = {
            "ImageId": _IMAGE,
            "InstanceType": "c7g.large",
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required"},
            "UserData": base64.b64encode(user_data.encode()).decode(),
            **data,
        }
        made = self.client("ec2").create_launch_template(LaunchTemplateName="worker", LaunchTemplateData=content)
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def states(self) -> dict[str, str]:
        """Return each instance's state in EC2's descriptions, by id."""
        pages = self.client("ec2").get_paginator("describe_instances").paginate()
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        }

    def _credentials(self, profile_arn: str, instance_id: str) -> Mapping[str, str]:
        name = profile_arn.rpartition("/")[2]
        (role,) = self.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
        given = self.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName=instance_id)["Credentials"]
        document = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": given["AccessKeyId"],
            "SecretAccessKey": given["SecretAccessKey"],
            "Token": given["SessionToken"],
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        return {
            f"meta-data/iam/security-credentials/{role['RoleName']}": json.dumps(document),
            "meta-data/iam/info": json.dumps({"Code": "Success", "InstanceProfileArn": profile_arn}),
        }


class _QuietHandler(MotoRequestHandler):
    def log(self, *_: object) -> None:
        """Log nothing: `SimulatedCloud.events` has the calls."""
