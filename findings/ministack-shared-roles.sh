#!/usr/bin/env bash
# ministack 1.5.33: stacks of the same name in two regions share one generated IAM role; deleting one stack deletes it.
#
# Behaviour: the suffix of a generated name is a hash of the stack's name and the logical id, without the region. For a
#   resource that belongs to a region that is enough. A role belongs to the account: the second stack gets the first one's
#   role, and the first one is left without a role when the second is deleted. In CloudFormation a generated name has a
#   random part, and the stacks have two roles.
# Upstream: not reported, as far as could be found.
# Here: tests/infra/ministack_server.py adds the region to generated names.
# Expected output, seen 2026-11-28 with Python 3.11.7:
#   roles after stack demo in us-east-1: 1
#   roles after stack demo in eu-west-1, too: 1
#   roles after the second stack was deleted: 0; the first one is CREATE_COMPLETE
set -euo pipefail
folder="$(mktemp -d)"
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ministack==1.5.33 cryptography==50.0.2 boto3==1.43.40
port="$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')"
(cd "$folder" && BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" exec "$folder/venv/bin/ministack") >"$folder/log" 2>&1 &
server=$!
PORT="$port" "$folder/venv/bin/python" - <<'PY'
import json
import os
import time

import boto3
from botocore.exceptions import BotoCoreError

TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
TEMPLATE = {
    "Resources": {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", **TRUST}}}
    }
}


def client(service, region):
    address = f"http://127.0.0.1:{os.environ['PORT']}"
    secrets = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client(service, region_name=region, endpoint_url=address, **secrets)


def roles():
    found = client("iam", "us-east-1").list_roles()["Roles"]
    return len([role for role in found if role["RoleName"].startswith("demo-")])


def create(region):
    stacks = client("cloudformation", region)
    stacks.create_stack(StackName="demo", TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_IAM"])
    stacks.get_waiter("stack_create_complete").wait(StackName="demo", WaiterConfig={"Delay": 1})
    return stacks


for _ in range(100):
    try:
        client("sts", "us-east-1").get_caller_identity()
        break
    except BotoCoreError:
        time.sleep(0.2)
first = create("us-east-1")
counts = [roles()]
second = create("eu-west-1")
counts.append(roles())
second.delete_stack(StackName="demo")
second.get_waiter("stack_delete_complete").wait(StackName="demo", WaiterConfig={"Delay": 1})
counts.append(roles())
status = first.describe_stacks(StackName="demo")["Stacks"][0]["StackStatus"]
print(f"roles after stack demo in us-east-1: {counts[0]}")
print(f"roles after stack demo in eu-west-1, too: {counts[1]}")
print(f"roles after the second stack was deleted: {counts[2]}; the first one is {status}")
assert (counts, status) == ([1, 1, 0], "CREATE_COMPLETE"), "the behaviour has changed"
PY
