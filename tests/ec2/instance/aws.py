#!VENV
"""Stands in for the AWS CLI: `aws SERVICE OPERATION --some-parameter VALUE… [--query Name] [--output text]` by way of
boto3, and of `aws s3`: `cp [--recursive] FROM TO`. The exit status of an error answer is 254, as the CLI's."""

import json
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

REFUSED = 254


def main(words: list[str]) -> int:
    service, operation, *rest = [word for word in words if word not in ("--only-show-errors", "--no-cli-pager")]
    try:
        if service == "s3":
            return copy(operation, rest)
        return call(service, operation, rest)
    except ClientError as error:
        sys.stderr.write(f"\n{error}\n")
        return REFUSED


def call(service: str, operation: str, words: list[str]) -> int:
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
        arguments[name] = read(values, is_list=shape.members[name].type_name == "list")
    answer = getattr(client, operation.replace("-", "_"))(**arguments)
    answer.pop("ResponseMetadata", None)
    for part in filter(None, query.split(".")):
        answer = answer[part]
    sys.stdout.write((answer if isinstance(answer, str) else json.dumps(answer, default=str)) + "\n")
    return 0


def read(values: list[str], *, is_list: bool) -> object:
    if not values:
        return True
    if values[0].startswith(("{", "[")):
        return json.loads(values[0])
    return values if is_list else values[0]


def copy(operation: str, words: list[str]) -> int:
    if operation != "cp":
        raise SystemExit(f"aws s3 {operation}: not known here")
    source, target = (word for word in words if not word.startswith("--"))
    s3 = boto3.client("s3")
    if source.startswith("s3://"):
        bucket, _, key = source.removeprefix("s3://").partition("/")
        s3.download_file(bucket, key, target)
        return 0
    bucket, _, key = target.removeprefix("s3://").partition("/")
    recursive = "--recursive" in words
    for path in (path for path in Path(source).rglob("*") if path.is_file()) if recursive else [Path(source)]:
        s3.upload_file(str(path), bucket, key + str(path.relative_to(source)) if recursive else key)
    return 0


def pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
