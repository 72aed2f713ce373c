"""Security groups, roles and alarms of the template."""

import inspect
import time
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode.cfn_yaml import loads

from infra.host import publish_metrics
from infra.template import render
from jobqueue.inspection.counters import FunctionCounts, QueueCounts, ShardCounts
from manager.cluster.health import ClusterState
from manager.metrics.exposition import Exposition
from manager.metrics.queue import show_queue
from manager.metrics.requests import Metrics
from manager.metrics.totals import show_totals
from manager.metrics.view import RedisView, show_cluster, show_redis
from scaler.metrics import ScalerMetrics

ROOT = Path(__file__).parents[2]
ALARMS = {
    "NoLeader": ("workmanager", "Leaders"),
    "FailedJobs": ("workmanager", "FailedJobs"),
    "OldestJob": ("workmanager", "OldestJobSeconds"),
    "ReplicaMissing": ("workmanager", "ReplicasMissing"),
    "FileUnsound": ("workmanager", "FilesUnsound"),
    "CapacityErrors": ("workmanager", "LaunchFailures"),
    "WorkersDoNotBoot": ("workmanager", "WorkerBootFailures"),
    "OnDemandWorkers": ("workmanager", "OnDemandLaunches"),
    "BackupMissing": ("workmanager", "BackupAgeSeconds"),
    "DiskFills": ("workmanager", "DiskUsedPercent"),
    "MemoryFills": ("workmanager", "MemoryUsedPercent"),
    "BootFailed": ("workmanager", "BootFailures"),
    "WitnessCredits": ("AWS/EC2", "CPUSurplusCreditBalance"),
    "ManagerAway": ("AWS/NetworkELB", "HealthyHostCount"),
    "CertificateEnds": ("AWS/CertificateManager", "DaysToExpiry"),
}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """The template's resources by name."""
    return dict(loads(render())["Resources"])


def rules(resources: dict[str, Any], direction: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the rules of all security groups, with the names of their resources; `direction` is Ingress or Egress."""
    found = []
    for name, one in resources.items():
        if one["Type"] == "AWS::EC2::SecurityGroup":
            found += [(name, rule) for rule in one["Properties"].get(f"SecurityGroup{direction}", [])]
        elif one["Type"] == f"AWS::EC2::SecurityGroup{direction}":
            found.append((name, one["Properties"]))
    return found


def test_only_the_load_balancer_is_open_to_hosts_outside_the_cluster(resources: dict[str, Any]) -> None:
    of_groups, others = set(), []
    for name, rule in rules(resources, "Ingress"):
        if source := rule.get("SourceSecurityGroupId"):
            of_groups.add((name, source["Ref"], rule["FromPort"], rule["ToPort"]))
        else:
            others.append((name, rule["FromPort"], rule["ToPort"], rule["CidrIp"]))
    assert of_groups == {
        ("ManagerFromLoadBalancer", "LoadBalancerGroup", 5000, 5000),
        ("StoreFromStore", "StoreGroup", 6379, 6381),
        ("StoreFromStoreBus", "StoreGroup", 16379, 16381),
        ("StoreFromWorker", "WorkerGroup", 6379, 6381),
    }
    assert others == [("LoadBalancerGroup", 443, 443, {"Ref": "AllowCidr"})]


def test_hosts_reach_each_other_and_https_and_an_existing_redis(resources: dict[str, Any]) -> None:
    to_groups, anywhere = set(), []
    for name, rule in rules(resources, "Egress"):
        if target := rule.get("DestinationSecurityGroupId"):
            to_groups.add((name, target["Ref"], rule["FromPort"], rule["ToPort"]))
        elif rule["CidrIp"] != "127.0.0.1/32":
            anywhere.append((name, rule["FromPort"], rule["ToPort"], rule["CidrIp"]))
    assert to_groups == {
        ("LoadBalancerToManager", "ManagerGroup", 5000, 5000),
        ("StoreToStore", "StoreGroup", 6379, 6381),
        ("StoreToStoreBus", "StoreGroup", 16379, 16381),
        ("WorkerToStore", "StoreGroup", 6379, 6381),
    }
    port, traces_port = {"Ref": "RedisPort"}, {"Ref": "TracesPort"}
    assert anywhere == [
        ("ManagerGroup", 443, 443, "0.0.0.0/0"),
        ("StoreGroup", 443, 443, "0.0.0.0/0"),
        ("WorkerGroup", 443, 443, "0.0.0.0/0"),
        ("WorkerGroup", 80, 80, "0.0.0.0/0"),
        ("ManagerToGivenStore", port, port, "0.0.0.0/0"),
        ("WorkerToGivenStore", port, port, "0.0.0.0/0"),
        ("ManagerToCollector", traces_port, traces_port, "0.0.0.0/1"),
        ("ManagerToCollectorToo", traces_port, traces_port, "128.0.0.0/1"),
        ("WorkerToCollector", traces_port, traces_port, "0.0.0.0/1"),
        ("WorkerToCollectorToo", traces_port, traces_port, "128.0.0.0/1"),
    ]


def test_there_is_no_ssh(resources: dict[str, Any]) -> None:
    text = render()
    assert "KeyName" not in text
    assert "sshd" not in text
    # Session Manager instead, for all roles. Amazon's own policy for it reads every parameter of the account.
    roles = [name for name, one in resources.items() if one["Type"] == "AWS::IAM::Role"]
    assert len(roles) == 3
    assert all(role in str(resources["ShellPolicy"]["Properties"]["Roles"]) for role in roles)
    assert "ManagedPolicyArns" not in text


def test_every_alarm_uses_a_published_metric_and_notifies_the_topic(
    resources: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert {name: (one["Namespace"], one["MetricName"]) for name, one in alarms.items()} == ALARMS
    published = publish_metrics.summarize(
        {publish_metrics.TELLS_QUEUE: 1.0}, publish_metrics.parse_metrics(_metrics_of_a_manager())
    )
    assert published == {
        "Leaders": 1.0,
        "FailedJobs": 3.0,
        "OldestJobSeconds": 40.0,
        "ReplicasMissing": 2.0,
        "FilesUnsound": 1.0,
        "LaunchFailures": 1.0,
        "WorkerBootFailures": 0.0,
        "OnDemandLaunches": 2.0,
    }
    (tmp_path / publish_metrics.BACKUP).touch()
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    own = publish_metrics.host_values(tmp_path, "MemTotal: 8000 kB\nMemAvailable: 2000 kB\n", 0.0, time.time() + 60)
    assert own["MemoryUsedPercent"] == 75
    assert 0 < own["DiskUsedPercent"] < 100
    assert 60 <= own["BackupAgeSeconds"] < 70
    # The user data publishes failed boots: the manager's programs do not run then.
    assert '"MetricName": "BootFailures"' in (ROOT / "infra/userdata/common.sh").read_text()
    names = {*published, *own, "BootFailures"}
    assert {metric for space, metric in ALARMS.values() if space == publish_metrics.NAMESPACE} == names
    dimension = '[{"Name": "Cluster", "Value": os.environ["CLUSTER_NAME"]}]'
    assert dimension in inspect.getsource(publish_metrics.main)
    for name, one in alarms.items():
        assert one["AlarmActions"] == [{"Ref": "Alarms"}], name
        if one["Namespace"] == publish_metrics.NAMESPACE:
            assert one["Dimensions"] == [{"Name": "Cluster", "Value": {"Ref": "AWS::StackName"}}]


def _metrics_of_a_manager() -> str:
    """Return a leader's metrics.

    Three failed jobs, one failed launch, five others, two masters without a replica, one with an unsound file.
    """
    metrics = Metrics()
    scaler = ScalerMetrics(metrics.registry)
    scaler.publish({}, pending_launches=0, desired=0, now=0.0)
    scaler.failed("capacity")
    scaler.launched("on-demand", 2)
    scaler.launched("spot", 3)
    counts = ShardCounts(
        queues={"default": QueueCounts(oldest_seconds=40.0), "low": QueueCounts(oldest_seconds=2.0)},
        functions=FunctionCounts(failed={"sha512": 1, "http": 2}),
    )
    shown = Exposition()
    metrics.show(shown, metrics.counted())
    show_redis(shown, RedisView(up=True, files_unsound=1), tells_queue=True)
    show_cluster(shown, ClusterState(7, 0, 0, 2, 0, 1, ()))
    show_queue(shown, counts, 0, ())
    show_totals(shown, counts)
    return shown.text().decode()
