"""The simulated instances really run: the behaviour that other tests rely on."""

import json
from pathlib import Path

import pytest

from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until

REPORT_METADATA = """#!/bin/bash
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
read_metadata() { curl -sf -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/$1"; }
echo "$(read_metadata meta-data/instance-id) $(hostname) $(read_metadata meta-data/local-ipv4)" > SHARED/$(hostname)
curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/instance-id > SHARED/without-token
cp /usr/sbin/shutdown /opt/mine; echo secret > /etc/only-here
touch SHARED/ready
"""


def _launch(cloud: SimulatedCloud, user_data: str, shared: Path, **call: object) -> list[str]:
    template = cloud.create_template(user_data.replace("SHARED", str(shared)))
    launched = cloud.client("ec2").run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": template}, **call
    )
    return [instance["InstanceId"] for instance in launched["Instances"]]


def test_user_data_runs_with_its_own_metadata_files_and_network(cloud: SimulatedCloud, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (instance_id,) = _launch(cloud, REPORT_METADATA, shared)
    until((shared / "ready").exists, wanted="the user data to run")
    (note,) = [path for path in shared.iterdir() if path.name.startswith("ip-")]
    reported_id, host_name, address = note.read_text().split()
    assert (reported_id, host_name) == (instance_id, note.name)
    assert host_name == "ip-" + address.replace(".", "-")
    assert (shared / "without-token").read_text() == "401"
    assert not Path("/etc/only-here").exists()
    assert not Path("/opt/mine").exists()


@pytest.mark.parametrize(
    ("end", "cause"),
    [("terminate", "terminated"), ("shutdown", "shutdown"), ("spot", "spot")],
)
def test_units_are_stopped_however_an_instance_ends(
    cloud: SimulatedCloud, tmp_path: Path, end: str, cause: str
) -> None:
    shared = tmp_path / "shared"
    (instance_id,) = _launch(
        cloud,
        """#!/bin/bash
        cat > /etc/systemd/system/service.service <<'UNIT'
[Service]
Environment=PLACE=SHARED
ExecStart=/bin/bash -c 'trap "echo terminated >> $PLACE/log; exit" TERM; touch $PLACE/up; while :; do sleep 0.05; done'
ExecStopPost=/bin/bash -c 'while [ ! -e $PLACE/let-go ]; do sleep 0.05; done; echo after >> $PLACE/log'
UNIT
        systemctl daemon-reload
        systemctl enable --now service
        systemctl is-active service > SHARED/state && mv SHARED/state SHARED/active
        while [ ! -e SHARED/shut-down ]; do sleep 0.05; done
        shutdown -h now
        """,
        shared,
    )
    until(lambda: (shared / "up").exists() and (shared / "active").exists(), wanted="the service")
    if end == "terminate":
        cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
        assert cloud.states() == {instance_id: "shutting-down"}
    elif end == "shutdown":
        (shared / "shut-down").touch()
    else:
        machine = cloud.machines.running[instance_id]
        cloud.machines.interrupt_spot_instance(instance_id, 1.0)
        assert json.loads(machine.metadata.tree["meta-data/spot/instance-action"])["action"] == "terminate"
    (shared / "let-go").touch()
    until(lambda: cloud.states() == {instance_id: "terminated"}, wanted="the end of the instance")
    assert (shared / "log").read_text().split() == ["terminated", "after"]
    assert (shared / "active").read_text() == "active\n"
    assert cloud.events.ends[instance_id].cause == cause
    assert not cloud.machines.running


@pytest.mark.parametrize("end", ["terminate", "shutdown", "spot"])
def test_volumes_are_deleted_however_an_instance_ends(cloud: SimulatedCloud, tmp_path: Path, end: str) -> None:
    """Volumes with DeleteOnTermination are deleted; others become available."""
    shared = tmp_path / "shared"
    disks = (("/dev/xvda", 10, True), ("/dev/sdf", 2, False))
    mapping = [
        {"DeviceName": device, "Ebs": {"VolumeSize": gibibytes, "DeleteOnTermination": ends_with_it}}
        for device, gibibytes, ends_with_it in disks
    ]
    user_data = "#!/bin/bash\nwhile [ ! -e SHARED/shut-down ]; do sleep 0.05; done; shutdown -h now"
    (instance_id,) = _launch(cloud, user_data, shared, BlockDeviceMappings=mapping)
    until(lambda: instance_id in cloud.machines.running, wanted="the instance")
    assert _volumes(cloud) == [(2, "in-use"), (10, "in-use")]
    if end == "terminate":
        cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
    elif end == "shutdown":
        (shared / "shut-down").touch()
    else:
        cloud.machines.interrupt_spot_instance(instance_id, 0.0)
    until(lambda: cloud.states() == {instance_id: "terminated"}, wanted="the end of the instance")
    assert _volumes(cloud) == [(2, "available")]


def _volumes(cloud: SimulatedCloud) -> list[tuple[int, str]]:
    """Size in GiB and state of each volume."""
    volumes = cloud.client("ec2").describe_volumes()["Volumes"]
    return sorted((volume["Size"], volume["State"]) for volume in volumes)


def test_a_crashed_instance_is_still_running_for_ec2(cloud: SimulatedCloud, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (instance_id,) = _launch(cloud, "#!/bin/bash\nwhile :; do date +%N > SHARED/beat; sleep 0.05; done", shared)
    until((shared / "beat").exists)
    cloud.machines.running[instance_id].crash()
    (shared / "beat").unlink()
    cloud.client("ec2").describe_instances()
    assert cloud.states() == {instance_id: "running"}
    assert not (shared / "beat").exists()
    cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
    until(lambda: cloud.states() == {instance_id: "terminated"}, wanted="the end of the instance")


def test_instances_call_aws_with_the_credentials_of_their_role(cloud: SimulatedCloud, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    iam = cloud.client("iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    cloud.client("secretsmanager").create_secret(Name="key", SecretString="of words")
    read_secret = "aws secretsmanager get-secret-value --query SecretString --output text --secret-id"
    program = "import boto3; print(boto3.client('sts', region_name='us-east-1').get_caller_identity()['Arn'])"
    launched = cloud.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=2,
        MaxCount=2,
        IamInstanceProfile={"Name": "worker"},
        UserData=f"""#!/bin/bash
        python={Path(".venv/bin/python").absolute()}
        {read_secret} no-key > {shared}/refusal 2>&1 || echo "status=$?" >> {shared}/refusal
        {read_secret} key > {shared}/secret
        $python -c "{program}" > {shared}/$(hostname)
        cd {shared} && exec $python -m http.server 8000
        """,
    )
    first, second = (instance["PrivateIpAddress"] for instance in launched["Instances"])
    until(
        lambda: len([path for path in shared.glob("ip-*") if path.stat().st_size]) == 2,
        wanted="both to report their role",
    )
    for instance in launched["Instances"]:
        name = "ip-" + instance["PrivateIpAddress"].replace(".", "-")
        assert (shared / name).read_text().strip().endswith(f"assumed-role/worker/{instance['InstanceId']}")
    assert first != second
    assert (shared / "secret").read_text() == "of words\n"
    assert "ResourceNotFoundException" in (shared / "refusal").read_text()
    assert (shared / "refusal").read_text().endswith("status=254\n")
