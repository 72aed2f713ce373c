"""Secrets that stand elsewhere than in the environment: `NAME_FILE` names a file, `NAME_SECRET` a secret of AWS.

A line is as good as a comma, so that a file can have several keys.
"""

from collections.abc import Mapping
from pathlib import Path


class SecretError(Exception):
    """The secret cannot be read; the message is one line that names the variable, and has nothing of the secret."""


def read_secret(environ: Mapping[str, str], variable: str) -> str | None:
    """Return the secret that a variable names with `_FILE` or `_SECRET` behind its own name; None if neither is set.

    Raises:
        SecretError: it cannot be read.
    """
    if path := environ.get(f"{variable}_FILE"):
        text = _read_file(f"{variable}_FILE", path)
    elif secret_id := environ.get(f"{variable}_SECRET"):
        text = _ask_aws(f"{variable}_SECRET", secret_id)
    else:
        return None
    return ",".join(text.splitlines())


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretError(f"{variable}: the file cannot be read: {reason}") from error


def _ask_aws(variable: str, secret_id: str) -> str:
    """Ask Secrets Manager, by the name or ARN of the secret."""
    import boto3  # Here, because it takes a second, and most secrets stand elsewhere.
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = boto3.client("secretsmanager").get_secret_value(SecretId=secret_id)
    except (BotoCoreError, ClientError) as error:
        raise SecretError(f"{variable}: the secret cannot be read: {' '.join(str(error).split())}") from error
    return str(answer.get("SecretString", ""))
