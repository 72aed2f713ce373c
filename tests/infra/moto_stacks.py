"""Patches for moto's CloudFormation, which lacks features that this stack needs. Call `patch_moto()` once per process.

- Defaults of parameters are parsed like given values (lists, numbers), and described as they were given.
- An executed change set sets the outputs, and an update sets the template. A change set without changes fails.
- An update of a role changes its policies.
- The account's disks have Amazon's key by default.
- Added: AWS::SecretsManager::Secret with generated values, AWS::EC2::SecurityGroupEgress, AWS::CloudWatch::Alarm,
  network load balancers, and Auto Scaling groups that apply all of their launch template.
"""

import functools
import re
import secrets
from collections.abc import Callable
from typing import Any, Self

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet
from moto.cloudformation.models import Stack as FakeStack
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.ec2.models import ec2_backends
from moto.ec2.models.security_groups import SecurityGroupIngress
from moto.ec2.responses import EC2Response
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup, elbv2_backends
from moto.iam.models import Role
from moto.secretsmanager.models import secretsmanager_backends

from tests.infra.moto_govcloud import add_govcloud

_DISK_KEY = (
    '<GetEbsDefaultKmsKeyIdResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><kmsKeyId>alias/aws/ebs</kmsKeyId>'
    "</GetEbsDefaultKmsKeyIdResponse>"
)


@functools.cache
def patch_moto() -> None:
    """Apply the patches."""
    add_govcloud()
    models = parsing.get_model_map()
    models["AWS::SecretsManager::Secret"] = Secret
    models["AWS::EC2::SecurityGroupEgress"] = SecurityGroupEgress
    models["AWS::ElasticLoadBalancingV2::LoadBalancer"] = NetworkLoadBalancer
    models["AWS::CloudWatch::Alarm"] = MetricAlarm
    FakeLoadBalancer.get_cfn_attribute = _with_full_name(FakeLoadBalancer.get_cfn_attribute)
    FakeTargetGroup.get_cfn_attribute = _full_name_of_target_group
    FakeAutoScalingGroup.replace_autoscaling_group_instances = _with_whole_launch_template(
        FakeAutoScalingGroup.replace_autoscaling_group_instances
    )
    models["AWS::AutoScaling::AutoScalingGroup"] = AutoScalingGroup
    parsing.ResourceMap.load_parameters = _with_defaults(parsing.ResourceMap.load_parameters)
    FakeStack.has_parameters = _has_values
    FakeStack.parameter_list = property(_parameters_as_given)
    ChangeSet.apply = _with_outputs(ChangeSet.apply)
    EC2Response.get_ebs_default_kms_key_id = lambda _: _DISK_KEY
    parsing.get_references_from_template = _with_substitutions(parsing.get_references_from_template)
    Role.update_from_cloudformation_json = classmethod(
        _updating_policies(Role.update_from_cloudformation_json.__func__)
    )


def _updating_policies(update: Callable[..., Any]) -> Callable[..., Any]:
    def updated(cls: Any, *, original_resource: Any, cloudformation_json: Any, **options: Any) -> Any:
        update(cls, original_resource=original_resource, cloudformation_json=cloudformation_json, **options)
        for policy in cloudformation_json["Properties"].get("Policies", ()):
            original_resource.put_policy(policy["PolicyName"], policy["PolicyDocument"])
        return original_resource

    return updated


def _with_substitutions(references: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    def found(resource: Any) -> list[str]:
        is_role = isinstance(resource, dict) and resource.get("Type") == "AWS::IAM::Role"  # it also gets parts of one
        return [*references(resource), *(re.findall(r"\$\{(\w+)\}", str(resource)) if is_role else ())]

    return found


class Secret(CloudFormationModel):
    """AWS::SecretsManager::Secret, with GenerateSecretString."""

    def __init__(self, arn: str, backend: Any) -> None:
        self.physical_resource_id = arn
        self._backend = backend

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SecretsManager::Secret"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Self:
        backend = secretsmanager_backends[account_id][region_name]
        length = int(cloudformation_json["Properties"]["GenerateSecretString"]["PasswordLength"])
        secret, _version = backend._add_secret(resource_name, secret_string=secrets.token_hex(length)[:length])
        return cls(secret.arn, backend)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource: Self, *_: Any, **__: Any) -> Self:
        return original_resource

    def delete(self, *_: Any) -> None:
        self._backend.delete_secret(self.physical_resource_id, None, True)


class SecurityGroupEgress(SecurityGroupIngress):
    """AWS::EC2::SecurityGroupEgress, to another group or to addresses."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EC2::SecurityGroupEgress"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Self:
        rule, backend = cloudformation_json["Properties"], ec2_backends[account_id][region_name]
        backend.authorize_security_group_egress(
            group_name_or_id=rule["GroupId"],
            ip_protocol=rule["IpProtocol"],
            from_port=rule["FromPort"],
            to_port=rule["ToPort"],
            ip_ranges=[{"CidrIp": rule["CidrIp"]}] if "CidrIp" in rule else [],
            source_groups=[{"GroupId": rule["DestinationSecurityGroupId"]}] if "CidrIp" not in rule else [],
        )
        return cls(backend.get_security_group_from_id(rule["GroupId"]), rule)

    def delete(self, *_: Any) -> None:
        """Do nothing: the rule is deleted with its group."""


class NetworkLoadBalancer(FakeLoadBalancer):
    """AWS::ElasticLoadBalancingV2::LoadBalancer of the type in the template."""

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> FakeLoadBalancer:
        properties, backend = cloudformation_json["Properties"], elbv2_backends[account_id][region_name]
        balancer = backend.create_load_balancer(
            resource_name,
            properties["SecurityGroups"],
            properties["Subnets"],
            scheme=properties["Scheme"],
            loadbalancer_type=properties["Type"],
        )
        balancer.dns_name = f"{resource_name.lower()}.elb.{region_name}.amazonaws.com"
        return balancer

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: FakeLoadBalancer, *_: Any, **__: Any
    ) -> FakeLoadBalancer:
        return original_resource


class MetricAlarm(CloudFormationModel):
    """AWS::CloudWatch::Alarm on one metric."""

    def __init__(self, name: str, backend: Any) -> None:
        self.physical_resource_id = name
        self._backend = backend

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudWatch::Alarm"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "AlarmName"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Self:
        properties, backend = cloudformation_json["Properties"], cloudwatch_backends[account_id][region_name]
        backend.put_metric_alarm(
            name=resource_name,
            namespace=properties["Namespace"],
            metric_name=properties["MetricName"],
            comparison_operator=properties["ComparisonOperator"],
            evaluation_periods=properties["EvaluationPeriods"],
            period=properties["Period"],
            threshold=float(properties["Threshold"]),
            statistic=properties["Statistic"],
            description=properties["AlarmDescription"],
            dimensions=properties["Dimensions"],
            alarm_actions=properties["AlarmActions"],
            ok_actions=properties["OKActions"],
            treat_missing_data=properties["TreatMissingData"],
        )
        return cls(resource_name, backend)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Self, new_resource_name: str, *arguments: Any, **named: Any
    ) -> Self:
        return cls.create_from_cloudformation_json(original_resource.physical_resource_id, *arguments, **named)

    def delete(self, *_: Any) -> None:
        self._backend.delete_alarms([self.physical_resource_id])


class AutoScalingGroup(FakeAutoScalingGroup):
    """AWS::AutoScaling::AutoScalingGroup, whose instances an update keeps: `rollout` replaces them."""

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: FakeAutoScalingGroup, new_resource_name: str, cloudformation_json: Any, **_: Any
    ) -> FakeAutoScalingGroup:
        original_resource.launch_template_version = cloudformation_json["Properties"]["LaunchTemplate"]["Version"]
        return original_resource


def _with_whole_launch_template(launch: Callable[..., None]) -> Callable[..., None]:
    def replace_autoscaling_group_instances(group: Any, count: int, tags: dict[str, str]) -> None:
        before = {state.instance.id for state in group.instance_states}
        launch(group, count, tags)
        ec2 = group.autoscaling_backend.ec2_backend
        data = group.ec2_launch_template.get_version(group.launch_template_version).data
        for state in group.instance_states:
            if state.instance.id not in before:
                ec2.associate_iam_instance_profile(
                    state.instance.id, iam_instance_profile_arn=data["IamInstanceProfile"]["Arn"]
                )
                state.instance.metadata_options.http_tokens = data["MetadataOptions"]["HttpTokens"]

    return replace_autoscaling_group_instances


def _with_full_name(attribute: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def get_cfn_attribute(balancer: Any, name: str) -> Any:
        if name == "LoadBalancerFullName":
            return balancer.arn.partition(":loadbalancer/")[2]
        return attribute(balancer, name)

    return get_cfn_attribute


def _full_name_of_target_group(group: Any, name: str) -> str:
    """Return the attribute TargetGroupFullName."""
    return str(group.arn.rpartition(":")[2])


def _with_defaults(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def load_parameters(resources: Any) -> None:
        defaults = {
            name: str(properties["Default"])
            for name, properties in resources._template.get("Parameters", {}).items()
            if "Default" in properties
        }
        resources.input_parameters = {**defaults, **resources.input_parameters}
        load(resources)

    return load_parameters


def _has_values(stack: Any, parameters: dict[str, str]) -> bool:
    """Return whether the stack has these values of parameters, which may be defaults."""
    present = {each["ParameterKey"]: each["ParameterValue"] for each in stack.parameter_list}
    return all(present.get(key) == value for key, value in parameters.items())


def _parameters_as_given(stack: Any) -> list[dict[str, str]]:
    """Return the parameters for describe-stacks: lists are separated by commas, as they were given."""
    present = stack.resource_map.resolved_parameters
    values = {key: ",".join(value) if isinstance(value, list) else str(value) for key, value in present.items()}
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def _with_outputs(apply: Callable[[Any], None]) -> Callable[[Any], None]:
    def apply_with_outputs(change_set: Any) -> None:
        apply(change_set)
        stack = change_set.stack
        stack.template, stack.template_dict = change_set.template, change_set.template_dict
        stack.parameters = change_set.parameters
        stack.output_map = stack._create_output_map()

    return apply_with_outputs
