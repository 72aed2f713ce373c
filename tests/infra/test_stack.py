"""The stack that moto creates from the template."""

from pathlib import Path

import boto3
import pytest

from tests.infra.stack import NAME, deployed_stack

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # moto warns about what it leaves out
USER_DATA_BYTES = 16_384
TO_COLLECTOR = {f"{host}ToCollector{half}" for host in ("Manager", "Worker") for half in ("", "Too")}
HOSTS = ("ManagerATemplate", "ManagerBTemplate", "WitnessTemplate", "WorkerTemplate")


def test_every_host_boots_with_the_settings_of_the_stack(tmp_path: Path) -> None:
    with deployed_stack(tmp_path) as stack:
        for host in HOSTS:
            text = stack.user_data(host)
            assert text.startswith("#!/bin/bash\n")
            assert len(text.encode()) <= USER_DATA_BYTES
            assert f"\nCLUSTER_NAME='{NAME}'" in text
            assert f"BUNDLE='s3://a-bucket/bundle/{'a' * 64}.tar.gz'" in text
        manager = stack.user_data("ManagerATemplate")
        assert f"LAUNCH_TEMPLATE='{stack.ids['WorkerTemplate']}:1'" in manager
        assert f"DISK='{stack.ids['DiskA']}'" in manager
        assert "STORES='6379:manager 6380:manager'" in manager


def test_user_data_and_outputs_contain_no_secret(tmp_path: Path) -> None:
    with deployed_stack(tmp_path) as stack:
        secrets = boto3.client("secretsmanager")
        values = [
            secrets.get_secret_value(SecretId=one["ARN"])["SecretString"]
            for one in secrets.list_secrets()["SecretList"]
        ]
        (described,) = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
        texts = [stack.user_data(host) for host in HOSTS] + [str(described)]
        assert len(values) == 6
        assert [value for value in values for text in texts if value in text] == []


def test_workers_terminate_on_shutdown_and_hosts_require_imdsv2(tmp_path: Path) -> None:
    with deployed_stack(tmp_path) as stack:
        worker = stack.template("WorkerTemplate")
        assert worker["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert [stack.template(host)["MetadataOptions"]["HttpTokens"] for host in HOSTS] == ["required"] * 4


def test_with_an_existing_redis_there_is_no_witness_and_no_store(tmp_path: Path) -> None:
    url = "rediss://workmanager:PASSWORD@redis.example:6379"
    with deployed_stack(tmp_path, RedisUrl=url) as stack:
        assert not {"Witness", "DiskA", "AddressA", "StoreManagerPassword"} & stack.ids.keys()
        manager = stack.user_data("ManagerATemplate")
        assert f"REDIS_URL='{url}'" in manager
        assert "STORES=''" in manager


@pytest.mark.parametrize(
    ("redis_port", "traces_port", "wanted"),
    [
        ("6379", "443", {"ManagerToGivenStore", "WorkerToGivenStore"}),
        ("6379", "4318", {"ManagerToGivenStore", "WorkerToGivenStore", *TO_COLLECTOR}),
        ("4318", "4318", {"ManagerToGivenStore", "WorkerToGivenStore", *TO_COLLECTOR}),
        ("443", "80", {"ManagerToCollector", "ManagerToCollectorToo"}),
        ("80", "443", {"ManagerToGivenStore"}),
        # Without an existing Redis, its port opens nothing.
        ("", "6379", {*TO_COLLECTOR}),
    ],
)
def test_no_group_has_the_same_rule_twice(tmp_path: Path, redis_port: str, traces_port: str, wanted: set[str]) -> None:
    """EC2 refuses it. Ports 443, and 80 for workers, are open in any case."""
    store = {"RedisUrl": "redis://redis.example", "RedisPort": redis_port} if redis_port else {}
    with deployed_stack(tmp_path, **store, TracesPort=traces_port) as stack:
        assert {name for name in stack.ids if "ToGivenStore" in name or "ToCollector" in name} == wanted
        groups = boto3.client("ec2").describe_security_groups()["SecurityGroups"]
        assert all(
            len(rules) == len(set(rules))
            for group in groups
            for rules in [
                [
                    (rule.get("FromPort"), each["CidrIp"])
                    for rule in group["IpPermissionsEgress"]
                    for each in rule["IpRanges"]
                ]
            ]
        )
