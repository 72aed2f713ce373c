"""Maps EC2's error codes to the causes of a failed launch.

Source: the error codes of the Amazon EC2 API reference, and "Ensuring idempotency in Amazon EC2 API requests".
"""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
)

from scaler.fleets.fleet import Cause, FleetError

NO_CAPACITY_CODES = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "MaxSpotFleetRequestCountExceeded",
        "SpotMaxPriceTooLow",
        "Unsupported",
        "VcpuLimitExceeded",
    }
)
"""The capacity pool has no instances now, or not for this account. EC2 returns `Unsupported` if the zone does not have
the instance type."""

THROTTLED_CODES = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
UNCERTAIN_CODES = frozenset({"InternalError", "InternalFailure", "RequestTimeout", "ServiceUnavailable", "Unavailable"})
"""EC2 itself failed, so it is not known whether the call was carried out."""


def to_fleet_error(error: ClientError | BotoCoreError) -> FleetError:
    """Return the error with its cause, EC2's code and a message for the log."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        message = str(error.response.get("Error", {}).get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return FleetError(_cause_of(code, status), code, message)
    # Without credentials or with wrong arguments nothing was sent. Otherwise the answer may have been lost.
    cause = Cause.REFUSED if isinstance(error, (NoCredentialsError, ParamValidationError)) else Cause.UNKNOWN
    return FleetError(cause, type(error).__name__, str(error))


def _cause_of(code: str, status: int) -> Cause:
    if code in NO_CAPACITY_CODES:
        return Cause.CAPACITY
    if code in THROTTLED_CODES:
        return Cause.THROTTLED
    if code == "IdempotentInstanceTerminated":
        return Cause.TOKEN_EXPIRED
    return Cause.UNKNOWN if code in UNCERTAIN_CODES or status >= 500 else Cause.REFUSED
