#!VENV
"""Replacement of the AWS CLI.

Supports `aws SERVICE OPERATION --some-parameter VALUE… [--query Name] [--output text]` through boto3, and of `aws s3`
`cp [--recursive] FROM s3://TO` and `cp s3://FROM TO`. An error answer gives exit status 254, as in the CLI.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

REFUSED = 254
METADATA = "http://169.254.169.254/latest"


def main(words: list[str]) -> int:
    service, operation, *rest = [word for word in words if word not in ("--only-show-errors", "--no-cli-pager")]
    if service == "s3" and operation == "cp" and rest[0].startswith("s3://"):
        return download(*rest)
    if (service, operation) == ("secretsmanager", "get-secret-value"):
        return print_secret(dict(zip(rest[::2], rest[1::2], strict=True)))
    from botocore.exceptions import ClientError  # imported here because it takes a second, which would delay each boot

    try:
        return upload(operation, rest) if service == "s3" else call(service, operation, rest)
    except ClientError as error:
        sys.stderr.write(f"\n{error}\n")
        return REFUSED


def download(source: str, target: str) -> int:
    """Download an object."""
    address = f"{os.environ['AWS_ENDPOINT_URL']}/{source.removeprefix('s3://')}"
    Path(target).write_bytes(ask(address, "GET", {"Authorization": authorization("s3")}))
    return 0


def print_secret(options: dict[str, str]) -> int:
    """Print what `--query` names of a secret. A host reads twenty of them when it boots."""
    names = {"--secret-id": "SecretId", "--version-stage": "VersionStage"}
    body = json.dumps({names[option]: value for option, value in options.items() if option in names}).encode()
    headers = {
        "Authorization": authorization("secretsmanager"),
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "secretsmanager.GetSecretValue",
    }
    try:
        answer = json.loads(ask(f"{os.environ['AWS_ENDPOINT_URL']}/", "POST", headers, body))
    except HTTPError as error:
        sys.stderr.write(f"\n{error.read().decode()}\n")
        return REFUSED
    sys.stdout.write(f"{answer[options['--query']]}\n")
    return 0


def authorization(service: str) -> str:
    """Return a header with the credentials of the instance's role, as the CLI uses; moto checks only the access key."""
    token = ask(f"{METADATA}/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    with_token = {"X-aws-ec2-metadata-token": token.decode()}
    roles = f"{METADATA}/meta-data/iam/security-credentials/"
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    key = json.loads(ask(roles + ask(roles, "GET", with_token).decode(), "GET", with_token))["AccessKeyId"]
    return (
        f"AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )


def ask(url: str, method: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        content: bytes = answer.read()
        return content


def call(service: str, operation: str, words: list[str]) -> int:
    import boto3

    given: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            given[word[2:]] = values = []
        else:
            values.append(word)
    query, _ = "".join(given.pop("query", [])), given.pop("output", None)
    client = boto3.client(service, **({"region_name": given.pop("region")[0]} if "region" in given else {}))
    shape = client.meta.service_model.operation_model(pascal(operation)).input_shape
    names = {name.lower(): name for name in (shape.members if shape else {})}
    arguments: dict[str, object] = {}
    for option, values in given.items():
        name = names[option.replace("-", "").lower()]
        arguments[name] = read(values, shape.members[name].type_name)
    answer = getattr(client, operation.replace("-", "_"))(**arguments)
    answer.pop("ResponseMetadata", None)
    for part in filter(None, query.split(".")):
        answer = answer[part]
    sys.stdout.write((answer if isinstance(answer, str) else json.dumps(answer, default=str)) + "\n")
    return 0


def read(values: list[str], kind: str) -> object:
    if not values:
        return True
    if values[0].startswith(("{", "[")):
        return json.loads(values[0])
    if kind == "integer":
        return int(values[0])
    return values if kind == "list" else values[0]


def upload(operation: str, words: list[str]) -> int:
    import boto3

    source, target = (word for word in words if not word.startswith("--"))
    if operation != "cp" or not target.startswith("s3://"):
        raise SystemExit(f"aws s3 {operation} {' '.join(words)}: not known here")
    bucket, _, key = target.removeprefix("s3://").partition("/")
    recursive = "--recursive" in words
    for path in (path for path in Path(source).rglob("*") if path.is_file()) if recursive else [Path(source)]:
        boto3.client("s3").upload_file(str(path), bucket, key + str(path.relative_to(source)) if recursive else key)
    return 0


def pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
