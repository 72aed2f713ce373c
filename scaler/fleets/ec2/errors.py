"""Turns the exceptions of boto3 into the errors of a fleet."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from scaler.fleets.ec2.error_codes import meaning_of
from scaler.fleets.fleet import Cause, FleetError

NOT_SENT = (CredentialRetrievalError, NoCredentialsError, ParamValidationError, PartialCredentialsError)
"""Errors before a call is sent."""


def to_fleet_error(error: ClientError | BotoCoreError) -> FleetError:
    """Return the error with its cause, EC2's code, a message for the log, and what to do."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        message = str(error.response.get("Error", {}).get("Message", ""))
        meaning = meaning_of(code, int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)))
        return FleetError(meaning.cause, code, message, meaning.advice)
    # Otherwise the answer may have been lost.
    cause = Cause.REFUSED if isinstance(error, NOT_SENT) else Cause.UNKNOWN
    return FleetError(cause, type(error).__name__, str(error))
