"""What EC2's error codes mean for a launch.

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
"""There are none of this type in this zone on this market now, or not for this account. `Unsupported` is what EC2 says
of a type that the zone does not have."""

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
"""EC2 itself failed: it may have carried the call out."""


def to_fleet_error(error: ClientError | BotoCoreError) -> FleetError:
    """The cause, the code and a message that can be logged."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        message = str(error.response.get("Error", {}).get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return FleetError(_cause_of(code, status), code, message)
    # Without credentials or arguments nothing was sent; otherwise the answer may have been lost.
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
