#!/usr/bin/env bash
# moto 5.2.5: IAM in AWS GovCloud, asked at the address that boto3 chooses, is the IAM of the partition aws.
#
# Behaviour: the region us-gov-west-1 is in the partition aws-us-gov, and moto says so of STS and of what CloudFormation
#   creates there. Requests to https://iam.us-gov.amazonaws.com, where boto3 finds IAM for that region, are answered from
#   the partition aws: names of resources begin with arn:aws:, and roles that a stack has created are not found. moto
#   takes `us-gov` from the host's name for the region.
# Upstream: not reported, as far as could be found.
# Here: tests/infra/stack.py asks at https://iam.amazonaws.com, so that the region of the signature counts.
# Expected output, seen 2026-11-29 with Python 3.11.7:
#   sts: arn:aws-us-gov:
#   iam at https://iam.us-gov.amazonaws.com: arn:aws:
#   iam at https://iam.amazonaws.com: arn:aws-us-gov:
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "moto[iam,sts]==5.2.5" boto3==1.44.5
AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing AWS_DEFAULT_REGION=us-gov-west-1 "$folder/venv/bin/python" - <<'PY'
import boto3
from moto import mock_aws


def begin(arn):
    """Return the beginning of a resource's name: it has the partition."""
    return ":".join(arn.split(":")[:2]) + ":"


with mock_aws():
    print(f"sts: {begin(boto3.client('sts').get_caller_identity()['Arn'])}")
    found = {}
    for number, address in enumerate((None, "https://iam.amazonaws.com")):
        iam = boto3.client("iam", endpoint_url=address)
        role = iam.create_role(RoleName=f"demo-{number}", AssumeRolePolicyDocument="{}")["Role"]
        found[iam.meta.endpoint_url] = begin(role["Arn"])
        print(f"iam at {iam.meta.endpoint_url}: {found[iam.meta.endpoint_url]}")
    assert list(found.values()) == ["arn:aws:", "arn:aws-us-gov:"], "the behaviour has changed"
PY
