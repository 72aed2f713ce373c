#!/usr/bin/env bash
# moto 5.2.5: update_stack of a stack whose role gets other inline policies ends well, and changes none of them.
#
# Behaviour: AWS::IAM::Role documents that `Policies` is updated without interruption. In moto the update of the stack
#   ends as UPDATE_COMPLETE and its template is the new one, but the role keeps the policies that it was created with. A
#   test of an upgrade that takes away a right, or gives one, passes or fails for the wrong reason.
# Upstream: not reported, as far as could be found.
# Here: tests/infra/moto_stacks.py puts the policies of an updated role.
# Expected output, seen 2026-11-28 with Python 3.11.7:
#   created: s3:GetObject
#   UPDATE_COMPLETE: the template says s3:PutObject, the role s3:GetObject
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "moto[cloudformation,iam]==5.2.5" boto3==1.44.5
AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing AWS_DEFAULT_REGION=us-east-1 "$folder/venv/bin/python" - <<'PY'
import json

import boto3
from moto import mock_aws

TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def template(action):
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = {"PolicyName": "files", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": "demo",
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", **TRUST},
            "Policies": [policy],
        },
    }
    return json.dumps({"Resources": {"Role": role}})


def allowed(document):
    """Return the action of a policy, in whatever form moto shows it: here it is Python's, with single quotes."""
    return "s3:PutObject" if "s3:PutObject" in str(document) else "s3:GetObject"


with mock_aws():
    stacks, iam = boto3.client("cloudformation"), boto3.client("iam")

    def of_role():
        return allowed(iam.get_role_policy(RoleName="demo", PolicyName="files")["PolicyDocument"])

    options = {"StackName": "demo", "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    stacks.create_stack(TemplateBody=template("s3:GetObject"), **options)
    print(f"created: {of_role()}")
    stacks.update_stack(TemplateBody=template("s3:PutObject"), **options)
    status = stacks.describe_stacks(StackName="demo")["Stacks"][0]["StackStatus"]
    body = stacks.get_template(StackName="demo")["TemplateBody"]
    of_template = allowed(body)
    print(f"{status}: the template says {of_template}, the role {of_role()}")
    found = (status, of_template, of_role())
    assert found == ("UPDATE_COMPLETE", "s3:PutObject", "s3:GetObject"), "the behaviour has changed"
PY
