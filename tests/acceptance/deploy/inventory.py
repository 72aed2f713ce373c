"""All resources of an account of the simulated AWS."""

from tests.ec2.simulated_cloud import SimulatedCloud

LISTS = (
    ("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateName"),
    ("ec2", "describe_volumes", "Volumes", "VolumeId"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupName"),
    ("ec2", "describe_key_pairs", "KeyPairs", "KeyName"),
    ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName"),
    ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("secretsmanager", "list_secrets", "SecretList", "Name"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("acm", "list_certificates", "CertificateSummaryList", "CertificateArn"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("sns", "list_topics", "Topics", "TopicArn"),
)


def list_resources(cloud: SimulatedCloud) -> dict[str, list[str]]:
    """Return names or ids by service and kind, without terminated instances and deleted endpoints.

    Without service-linked roles: the one for spot instances belongs to the account, and is kept.
    """
    found = {
        f"{service} {kind}": sorted(
            each[name]
            for each in getattr(cloud.client(service), call)()[kind]
            if not each[name].startswith("AWSServiceRoleFor")
        )
        for service, call, kind, name in LISTS
    }
    endpoints = cloud.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    found["ec2 VpcEndpoints"] = sorted(each["VpcEndpointId"] for each in endpoints if each["State"] != "deleted")
    found["ec2 Instances"] = sorted(id_ for id_, state in cloud.states().items() if state != "terminated")
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    found["cloudformation Stacks"] = sorted(stack["StackName"] for stack in stacks)
    return found
