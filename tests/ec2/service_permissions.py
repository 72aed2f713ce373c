"""The parts of the hosts' calls to other services than EC2, for which IAM is asked: see `permissions.py`.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from moto.secretsmanager.models import secretsmanager_backends
from moto.utilities.utils import get_partition

from tests.ec2.moto_region import ACCOUNT
from tests.ec2.permissions import Access

_S3_ACTIONS = {
    "GET": "GetObject",
    "HEAD": "GetObject",
    "PUT": "PutObject",
    "POST": "PutObject",
    "DELETE": "DeleteObject",
}
_PREFIXES = {"monitoring": "cloudwatch"}
"""Prefixes of actions that differ from the service's name in signatures."""


def accesses_elsewhere(service: str, region: str, environ: Mapping[str, Any], body: bytes) -> Iterator[Access]:
    """Yield the parts of a call.

    Args:
        service: its name in the request's signature.
    """
    arn, place = f"arn:{get_partition(region)}", f"{region}:{ACCOUNT}"
    action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    match service:
        case "s3":
            bucket, _, key = unquote(environ["PATH_INFO"]).strip("/").partition("/")
            method = environ["REQUEST_METHOD"]
            yield (
                Access(f"s3:{_S3_ACTIONS[method]}", f"{arn}:s3:::{bucket}/{key}")
                if key
                else Access("s3:ListBucket", f"{arn}:s3:::{bucket}")
            )
        case "secretsmanager":
            yield Access(f"secretsmanager:{action}", _secret_arn(region, str(json.loads(body).get("SecretId"))))
        case "logs":
            call = json.loads(body)
            stream = f"log-group:{call['logGroupName']}:log-stream:{call['logStreamName']}"
            yield Access(f"logs:{action}", f"{arn}:logs:{place}:{stream}")
        case "monitoring":
            # Its body can be CBOR.
            namespace = {"cloudwatch:namespace": "workmanager"} if b"workmanager" in body else {}
            yield Access("cloudwatch:PutMetricData", "*", namespace)
        case "cloudformation":
            form = dict(parse_qsl(body.decode()))
            yield Access(
                f"cloudformation:{form['Action']}", f"{arn}:cloudformation:{place}:stack/{form['StackName']}/an-id"
            )
        case _:
            form = dict(parse_qsl(body.decode(errors="replace")))
            yield Access(f"{_PREFIXES.get(service, service)}:{action or form.get('Action', '')}", "*")


def _secret_arn(region: str, name: str) -> str:
    secrets: Mapping[str, Any] = secretsmanager_backends[ACCOUNT][region].secrets
    return str(secrets[name].arn) if name in secrets else name
