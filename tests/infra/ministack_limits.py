"""What AWS refuses or does late, added to ministack. Tests set it with `Region.simulate` (SSM parameters).

- Quotas of cores (Service Quotas); an Auto Scaling group whose host would exceed its quota fails to launch it. The
  reason stands in its scaling activities only, also after the group is deleted:
  https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeScalingActivities.html (IncludeDeletedGroups)
- Targets of a load balancer: every group's host, `healthy` unless a test says otherwise:
  https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
- A certificate stays in use for a while after its load balancer is gone. ResourceInUseException is documented
  (https://docs.aws.amazon.com/acm/latest/APIReference/API_DeleteCertificate.html), how long it lasts is not: people
  report minutes.
- The name of a secret that was deleted without recovery is free only some time later:
  https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
- A network with a GuardDuty endpoint cannot be deleted:
  https://docs.aws.amazon.com/guardduty/latest/ug/runtime-monitoring-agent-resource-clean-up.html
- Images, and the account's default key for disks. Budgets in a stack. A stack in a state that an earlier run left.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from ministack import app
from ministack.core import router
from ministack.core.responses import error_response_json, get_region, json_response
from ministack.services import acm, alb, autoscaling, ec2, secretsmanager, ssm
from ministack.services.cloudformation import _stacks, provisioners, stacks
from ministack.services.cloudformation import handlers as stack_handlers

SPOT_QUOTA, ON_DEMAND_QUOTA = "L-34B43A08", "L-1216C47A"
IMAGES = {"ami-0123456789abcdef0": "arm64", "ami-0123456789abcdef1": "x86_64"}
NO_SIGNAL = "Received 0 SUCCESS signal(s) out of 1. Unable to satisfy 100% MinSuccessfulInstancesPercent requirement"
OVER_QUOTA = (
    "You have requested more vCPU capacity than your current vCPU limit of {} allows for the instance bucket that the "
    "specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
    "adjustment to this limit. Launching EC2 instance failed."
)
RESERVED = (
    "You can't create this secret because a secret with this name is already scheduled for deletion. To create a "
    "secret with this name, you must wait for the deletion of the existing secret."
)

_activities: dict[tuple[str, str], str] = {}
_failed: dict[tuple[str, str], str] = {}
_attached: dict[str, list[str]] = {}
_released: dict[str, float] = {}


def apply(cores_of: Callable[[str], int]) -> None:
    """Add it to ministack; `cores_of` returns the cores of an instance type."""
    handlers = provisioners._RESOURCE_HANDLERS
    group = handlers["AWS::AutoScaling::AutoScalingGroup"]
    group["create"] = _within_quota(group["create"], cores_of)
    secret, listener, network = (
        handlers[f"AWS::{kind}"] for kind in ("SecretsManager::Secret", "ElasticLoadBalancingV2::Listener", "EC2::VPC")
    )
    secret["create"], secret["delete"] = _if_free(secret["create"]), _noting_name(secret["delete"])
    listener["delete"] = _noting_certificates(listener["delete"])
    network["delete"] = _unless_guarded(network["delete"])
    handlers["AWS::Budgets::Budget"] = {
        "create": lambda _, given, stack: (given["Budget"]["BudgetName"], {}),
        "update": lambda budget, before, given, stack: (budget, {}),
        "delete": lambda budget, given: None,
    }
    autoscaling._ACTION_MAP["DescribeScalingActivities"] = _describe_activities
    alb._ACTION_MAP["DescribeTargetHealth"] = _describe_targets
    ec2._ACTION_MAP["DescribeImages"] = _describe_images
    ec2._ACTION_MAP["GetEbsDefaultKmsKeyId"] = _default_key
    stacks._add_event = _with_physical_id(stacks._add_event)
    actions = stack_handlers._ACTION_HANDLERS
    actions["DescribeStacks"] = _in_state(actions["DescribeStacks"])
    acm._delete_certificate = _while_unused(acm._delete_certificate)
    secretsmanager._create_secret = _unless_reserved(secretsmanager._create_secret)
    secretsmanager._delete_secret = _reserving(secretsmanager._delete_secret)
    router.SERVICE_PATTERNS["servicequotas"] = {"target_prefixes": ["ServiceQuotasV20190624"]}
    app.SERVICE_HANDLERS["servicequotas"] = _service_quotas


def _simulated(name: str, default: str) -> str:
    """Return what a test has set."""
    found = ssm._parameters.get(f"/simulation/{name}")
    return str(found["Value"]) if found else default


def _within_quota(create: Callable[..., Any], cores_of: Callable[[str], int]) -> Callable[..., Any]:
    def handle(logical_id: str, given: Mapping[str, Any], stack: str, *rest: Any) -> Any:
        made = create(logical_id, given, stack, *rest)
        _attached[made[0]] = given.get("TargetGroupARNs", [])
        cores = 0
        for one in autoscaling._asgs.values():
            template = ec2._launch_templates[one["LaunchTemplate"]["LaunchTemplateId"]]
            cores += cores_of(template["Versions"][-1]["LaunchTemplateData"]["InstanceType"])
        limit = _simulated(f"quota/{ON_DEMAND_QUOTA}", "1000")
        reason = OVER_QUOTA.format(limit) if cores > float(limit) else _simulated(f"launch/{logical_id}", "")
        if reason:
            _activities[get_region(), made[0]] = reason
            provisioners._RESOURCE_HANDLERS["AWS::AutoScaling::AutoScalingGroup"]["delete"](made[0], given)
            _failed[stack, logical_id] = made[0]
            raise ValueError(NO_SIGNAL)
        return made

    return handle


def _with_physical_id(add_event: Callable[..., None]) -> Callable[..., None]:
    """Let the event of a group whose host did not come up name the group, which had been created."""

    def handle(
        stack_id: str,
        stack: str,
        name: str,
        kind: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None:
        known = _failed.get((stack, name), "") if status == "CREATE_FAILED" else ""
        add_event(stack_id, stack, name, kind, status, reason, physical_id or known, detailed_status)

    return handle


def _in_state(describe: Callable[..., Any]) -> Callable[..., Any]:
    """Put stacks into the state `stack`, NAME STATUS [SECONDS], once; it ends as UPDATE_COMPLETE after the seconds."""

    def handle(request: Mapping[str, Any]) -> Any:
        if found := ssm._parameters.pop("/simulation/stack", None):
            name, status, *seconds = str(found["Value"]).split()
            _stacks[name]["StackStatus"] = status
            if seconds:
                _released[f"{get_region()}/stack/{name}"] = time.monotonic() + float(seconds[0])
        for name, one in list(_stacks.items()):
            if time.monotonic() > _released.get(f"{get_region()}/stack/{name}", 1e12):
                del _released[f"{get_region()}/stack/{name}"]
                one["StackStatus"] = "UPDATE_COMPLETE"
        return describe(request)

    return handle


def _describe_activities(request: Mapping[str, Any]) -> Any:
    name = autoscaling._p(request, "AutoScalingGroupName")
    reason = _activities.get((get_region(), name), "")
    is_there = name in autoscaling._asgs or autoscaling._p(request, "IncludeDeletedGroups") == "true"
    text = (
        f"<member><AutoScalingGroupName>{name}</AutoScalingGroupName><StatusCode>Failed</StatusCode>"
        f"<StatusMessage>{escape(reason)}</StatusMessage></member>"
    )
    return autoscaling._xml(
        200,
        "DescribeScalingActivitiesResponse",
        "<DescribeScalingActivitiesResult><Activities>"
        f"{text if reason and is_there else ''}</Activities></DescribeScalingActivitiesResult>",
    )


def _describe_targets(request: Mapping[str, Any]) -> Any:
    arn = alb._p(request, "TargetGroupArn")
    groups = [name for name in autoscaling._asgs if arn in _attached.get(name, ())]
    text = ""
    for number, name in enumerate(sorted(groups)):
        state = _simulated(f"health/{'AB'[number]}", "healthy")
        text += (
            f"<member><Target><Id>i-{number:017x}</Id></Target>"
            f"<TargetHealth><State>{state}</State></TargetHealth><!-- {name} --></member>"
        )
    return alb._xml(200, "DescribeTargetHealth", f"<TargetHealthDescriptions>{text}</TargetHealthDescriptions>")


def _describe_images(request: Mapping[str, Any]) -> Any:
    found = ""
    for image in ec2._parse_member_list(request, "ImageId"):
        architecture = _simulated(f"image/{image}", IMAGES.get(image, ""))
        if not architecture:
            return ec2._error("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist", 400)
        found += (
            f"<item><imageId>{image}</imageId><imageState>available</imageState>"
            f"<architecture>{architecture}</architecture></item>"
        )
    return ec2._xml(200, "DescribeImagesResponse", f"<imagesSet>{found}</imagesSet>")


def _default_key(request: Mapping[str, Any]) -> Any:
    return ec2._xml(
        200, "GetEbsDefaultKmsKeyIdResponse", f"<kmsKeyId>{_simulated('disk-key', 'alias/aws/ebs')}</kmsKeyId>"
    )


def _noting_certificates(delete: Callable[..., Any]) -> Callable[..., Any]:
    def handle(listener: str, given: Mapping[str, Any], *rest: Any) -> Any:
        for one in given.get("Certificates", ()):
            _released[one["CertificateArn"]] = time.monotonic()
        return delete(listener, given, *rest)

    return handle


def _while_unused(delete: Callable[..., Any]) -> Callable[..., Any]:
    def handle(data: Mapping[str, Any]) -> Any:
        arn = data["CertificateArn"]
        is_used = any(arn in str(listener) for listener in alb._listeners.values())
        if is_used or time.monotonic() < _released.get(arn, -1e9) + float(_simulated("in-use-seconds", "0")):
            return error_response_json("ResourceInUseException", f"Certificate {arn} in account is in use.", 400)
        return delete(data)

    return handle


def _is_reserved(name: str) -> bool:
    return time.monotonic() < _released.get(f"{get_region()}/{name}", -1e9) + float(_simulated("secret-seconds", "0"))


def _unless_reserved(create: Callable[..., Any]) -> Callable[..., Any]:
    def handle(data: Mapping[str, Any]) -> Any:
        if _is_reserved(data["Name"]):
            return error_response_json("InvalidRequestException", RESERVED, 400)
        return create(data)

    return handle


def _reserving(delete: Callable[..., Any]) -> Callable[..., Any]:
    def handle(data: Mapping[str, Any]) -> Any:
        _, secret = secretsmanager._resolve(data["SecretId"])
        if secret and data.get("ForceDeleteWithoutRecovery"):
            _released[f"{get_region()}/{secret['Name']}"] = time.monotonic()
        return delete(data)

    return handle


def _if_free(create: Callable[..., Any]) -> Callable[..., Any]:
    def handle(logical_id: str, given: Mapping[str, Any], *rest: Any) -> Any:
        if _is_reserved(given["Name"]):
            raise ValueError(RESERVED)
        return create(logical_id, given, *rest)

    return handle


def _noting_name(delete: Callable[..., Any]) -> Callable[..., Any]:
    def handle(secret: str, given: Mapping[str, Any], *rest: Any) -> Any:
        _released[f"{get_region()}/{given['Name']}"] = time.monotonic()
        return delete(secret, given, *rest)

    return handle


def _unless_guarded(delete: Callable[..., Any]) -> Callable[..., Any]:
    def handle(network: str, given: Mapping[str, Any], *rest: Any) -> Any:
        for endpoint in ec2._vpc_endpoints.values():
            if endpoint["VpcId"] == network and "GuardDutyManaged" in str(ec2._tags.get(endpoint["VpcEndpointId"], "")):
                raise ValueError(f"The vpc '{network}' has dependencies and cannot be deleted. (DependencyViolation)")
        return delete(network, given, *rest)

    return handle


async def _service_quotas(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
    """Quotas that nobody has raised can have a default only, `default/CODE`:
    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
    """
    code = json.loads(body)["QuotaCode"]
    default, is_default = _simulated(f"default/{code}", ""), "Default" in headers.get("x-amz-target", "")
    if not is_default and (refusal := _simulated(f"quota-refusal/{code}", "")):
        return error_response_json(refusal, "The request failed", 400)
    if default and not is_default:
        return error_response_json(
            "NoSuchResourceException", "The request failed because the quota does not exist", 400
        )
    value = default or _simulated(f"quota/{code}", "1000")
    return json_response({"Quota": {"QuotaCode": code, "Value": float(value)}})
