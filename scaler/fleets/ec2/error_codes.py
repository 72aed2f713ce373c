"""What EC2's error codes mean for the scaler: the cause of the failure, and what an operator can do about it.

All codes of RunInstances, DescribeInstances, TerminateInstances and CreateTags (RunInstances tags what it launches).
Sources: "Error codes for the Amazon EC2 API" and "Ensuring idempotency in Amazon EC2 API requests" (API reference),
"Common error types" of AWS APIs for the codes of signatures and throttling. Of the first page, a copy of about 2021 was
compared code by code; today's could not be read as a whole. Not in those lists, but seen by others:
`InsufficientHostCapacity`, `VcpuLimitExceeded`, `PendingVerification` for new accounts, and
`AuthFailure.ServiceLinkedRoleCreationNotPermitted`, which "Service-linked role for EC2 Spot Instances" describes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scaler.fleets.fleet import Cause


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """The cause of a failure; `advice` says what to do, '' if there is nothing to do but wait."""

    cause: Cause
    advice: str = ""


_MORE_POOLS = ErrorMeaning(
    Cause.CAPACITY,
    "other types, subnets and markets are tried; more of them help (WORKMANAGER_INSTANCE_TYPES, _SUBNETS)",
)
_ON_DEMAND_QUOTA = ErrorMeaning(
    Cause.CAPACITY, "raise the account's quota for running on-demand instances (Service Quotas, EC2, L-1216C47A)"
)
_SPOT_QUOTA = ErrorMeaning(
    Cause.CAPACITY, "raise the account's quota for spot instance requests (Service Quotas, EC2, L-34B43A08)"
)
_OTHER_QUOTA = ErrorMeaning(Cause.CAPACITY, "raise the quota that the message names (Service Quotas)")
_SUBNET = ErrorMeaning(Cause.POOL_REFUSED, "take the subnet out of WORKMANAGER_SUBNETS, or make it anew")
_TYPE = ErrorMeaning(
    Cause.POOL_REFUSED,
    "take the instance type out of WORKMANAGER_INSTANCE_TYPES if the launch template's image or zone cannot run it",
)
_SPOT_ROLE = ErrorMeaning(
    Cause.POOL_REFUSED,
    "create the role for spot instances once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
)
_CREDENTIALS = ErrorMeaning(
    Cause.REFUSED, "check the manager's role or keys, and that the clock of its machine is right"
)
_PERMISSION = ErrorMeaning(Cause.REFUSED, "check the permissions of the manager's role")
_ACCOUNT = ErrorMeaning(Cause.REFUSED, "the account cannot use EC2 or the image yet: see the message, ask AWS Support")
_TEMPLATE = ErrorMeaning(Cause.REFUSED, "correct the launch template, or WORKMANAGER_LAUNCH_TEMPLATE")
_PROTECTED = ErrorMeaning(
    Cause.REFUSED, "turn the instance's termination and stop protection off, or end it by hand; until then it counts"
)
_REFUSED = ErrorMeaning(Cause.REFUSED)
_THROTTLED = ErrorMeaning(Cause.THROTTLED)
_UNKNOWN = ErrorMeaning(Cause.UNKNOWN)

_CODES: Mapping[ErrorMeaning, str] = {
    # There is nothing to be had in this pool at the moment, or not for this account.
    _MORE_POOLS: """CreditSpecificationUpdateInProgress IncompatibleHostRequirements InsufficientAddressCapacity
        InsufficientCapacity InsufficientCapacityOnHost InsufficientHostCapacity InsufficientInstanceCapacity
        InsufficientReservedInstanceCapacity InsufficientReservedInstancesCapacity InsufficientVolumeCapacity
        InvalidHostState MaxScheduledInstanceCapacityExceeded ReservationCapacityExceeded UnavailableHostRequirements
        UnfulfillableCapacity Unsupported""",
    ErrorMeaning(
        Cause.CAPACITY, "raise or remove the maximum spot price of the launch template"
    ): "LimitPriceExceeded SpotMaxPriceTooLow",
    ErrorMeaning(
        Cause.CAPACITY, "free addresses of the subnet, or add another one to WORKMANAGER_SUBNETS"
    ): "InsufficientFreeAddressesInSubnet PrivateIpAddressLimitExceeded",
    _ON_DEMAND_QUOTA: "InstanceLimitExceeded VcpuLimitExceeded",
    _SPOT_QUOTA: "MaxSpotFleetRequestCountExceeded MaxSpotInstanceCountExceeded RequestResourceCountExceeded",
    _OTHER_QUOTA: """AddressLimitExceeded AttachmentLimitExceeded HostLimitExceeded MaxIOPSLimitExceeded
        NetworkInterfaceLimitExceeded ResourceCountExceeded ResourceLimitExceeded VolumeIOPSLimit
        VolumeLimitExceeded""",
    # This pool is refused until somebody changes something; others can work.
    _SUBNET: """InvalidAvailabilityZone InvalidSubnet InvalidSubnetID.Malformed InvalidSubnetID.NotFound
        InvalidZone.NotFound ZonesMismatched""",
    _TYPE: """BootForVolumeTypeUnsupported EncryptedVolumesNotSupported InstanceCreditSpecification.NotSupported
        InvalidCpuCredits InvalidCpuCredits.Malformed InvalidInstanceAttributeValue InvalidInstanceFamily
        InvalidInstanceType
        InvalidInterface.IpAddressLimitExceeded InvalidParameter InvalidParameterCombination
        InvalidParameterDependency InvalidParameterValue UnsupportedHibernationConfiguration
        UnsupportedHostConfiguration UnsupportedInstanceTypeOnHost UnsupportedOperation UnsupportedTenancy
        VolumeTypeNotAvailableInZone""",
    _SPOT_ROLE: "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    # Every call of this kind is refused until somebody changes something.
    _CREDENTIALS: """AccessDenied AccessDeniedException AuthFailure ExpiredToken ExpiredTokenException
        IncompleteSignature InvalidClientTokenId InvalidSecurity.RequestHasExpired MissingAuthenticationToken
        RequestExpired SignatureDoesNotMatch UnrecognizedClientException""",
    _PERMISSION: "UnauthorizedOperation",
    _ACCOUNT: "Blocked OptInRequired PendingVerification",
    _TEMPLATE: """CustomerKeyHasBeenRevoked DefaultVpcDoesNotExist InvalidAffinity InvalidAMIID.Malformed
        InvalidAMIID.NotFound InvalidAMIID.Unavailable InvalidAutoPlacement InvalidBlockDeviceMapping
        InvalidCapacityReservationIdMalformedException InvalidCapacityReservationIdNotFoundException
        InvalidGroup.NotFound InvalidGroupId.Malformed InvalidHostConfiguration InvalidHostId
        InvalidHostID.Malformed InvalidHostId.Malformed InvalidHostID.NotFound InvalidHostId.NotFound
        InvalidIamInstanceProfileArn.Malformed InvalidIPAddress.InUse InvalidKernelId.Malformed
        InvalidKeyPair.NotFound InvalidLaunchTemplateId.Malformed InvalidLaunchTemplateId.NotFound
        InvalidLaunchTemplateId.VersionNotFound InvalidLaunchTemplateName.MalformedException
        InvalidLaunchTemplateName.NotFoundException InvalidManifest InvalidNetworkInterface.InUse
        InvalidNetworkInterfaceId.Malformed InvalidNetworkInterfaceID.NotFound InvalidPlacementGroup.Unknown
        InvalidProductInfo InvalidRamDiskId.Malformed InvalidSecurityGroupId.Malformed
        InvalidSecurityGroupID.NotFound InvalidSnapshot.NotFound InvalidSnapshotID.Malformed
        InvalidTagKey.Malformed InvalidTenancy InvalidUserData.Malformed InvalidVpcID.NotFound
        Resource.AlreadyAssigned SecurityGroupLimitExceeded SecurityGroupsPerInstanceLimitExceeded
        SecurityGroupsPerInterfaceLimitExceeded TagLimitExceeded TagPolicyViolation UnknownVolumeType
        UnsupportedException VPCIdNotSpecified VPCResourceNotSpecified""",
    _PROTECTED: "OperationNotPermitted",
    _REFUSED: """DryRunOperation FilterLimitExceeded IdempotentParameterMismatch InvalidAction InvalidCharacter
        InvalidClientToken InvalidFilter InvalidID InvalidInput InvalidInstanceID.Malformed InvalidMaxResults
        InvalidQueryParameter InvalidRequest MalformedQueryString MissingAction MissingInput MissingParameter
        NoSuchVersion UnknownParameter UnsupportedProtocol ValidationError""",
    # Not now: the call was not carried out.
    _THROTTLED: """ConcurrentTagAccess EC2ThrottledException RequestLimitExceeded RequestThrottled
        RequestThrottledException SlowDown Throttling ThrottlingException TooManyRequestsException""",
    # It is not known whether the call was carried out; or the next one can succeed.
    _UNKNOWN: """IncorrectInstanceState IncorrectState InternalError InternalFailure InvalidInstanceState
        InvalidNextToken InvalidPaginationToken InvalidState RequestTimeout ServiceUnavailable Unavailable""",
    # What the call names is gone. EC2 can say the second one of a young instance that lives:
    # https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    # No document says whether it says the first one if only some of a launch's instances have terminated.
    ErrorMeaning(Cause.GONE): "IdempotentInstanceTerminated InvalidInstanceID.NotFound",
}
INSTANCE_CODES = frozenset(
    {
        "IncorrectInstanceState",
        "InvalidInstanceID.Malformed",
        "InvalidInstanceID.NotFound",
        "OperationNotPermitted",
        "UnauthorizedOperation",
        "UnsupportedOperation",
    }
)
"""Refusals of TerminateInstances that one of its instances can cause."""
_MEANINGS = {code: meaning for meaning, codes in _CODES.items() for code in codes.split()}


def meaning_of(code: str, status: int) -> ErrorMeaning:
    """Return what an error answer means.

    Args:
        code: EC2's code; botocore makes one up if an answer is not EC2's, but for instance that of a proxy.
        status: HTTP status; 0 if unknown.
    """
    known = _MEANINGS.get(code.removeprefix("Client.").removeprefix("Server."))
    if known is not None:
        return known
    is_ec2_s = code not in ("", "Unknown") and not code.isdecimal()
    return _REFUSED if is_ec2_s and status < 500 else _UNKNOWN
