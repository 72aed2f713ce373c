# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # this text uses variables of its neighbours, and they use its own
# The common beginning of every host's user data. The launch template puts the settings in front of it, among them
# BUNDLE, and manager.sh, witness.sh or worker.sh after it. These set ROLE, and have the steps of the boot.
set -euo pipefail

METADATA="${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}"
# By default aws-cli tries once, for one second. That is too little while many hosts start at the same time.
instance_id=unknown
export AWS_METADATA_SERVICE_TIMEOUT=20 AWS_METADATA_SERVICE_NUM_ATTEMPTS=5

# say STEP: one line for the instance's console
say() { echo "event=${ROLE}_boot step=$1 uptime_seconds=$(cut -d' ' -f1 /proc/uptime)"; }

# metadata PATH: a value of the instance metadata service (IMDSv2)
metadata() {
    local token
    token="$(curl -sSf --retry 9 --retry-all-errors --max-time 2 -X PUT "$METADATA/latest/api/token" \
        -H 'X-aws-ec2-metadata-token-ttl-seconds: 300')"
    curl -sSf --retry 9 --retry-all-errors --max-time 2 "$METADATA/latest/meta-data/$1" \
        -H "X-aws-ec2-metadata-token: $token"
}

# patiently COMMAND...: a role that was made or changed a moment ago is not known everywhere yet, and a service can fail:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
patiently() {
    local deadline=$((SECONDS + ${PATIENCE_SECONDS:-120}))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep "${RETRY_SECONDS:-5}"
    done
}

# Downloads the program's archive, and verifies it before anything in it is used. Sets `instance_id`, and `work`, a
# temporary directory.
unpack_bundle() {
    say began
    instance_id="$(metadata instance-id)"
    work="$(mktemp -d)"
    patiently aws s3 cp --only-show-errors "$BUNDLE" "$work/bundle.tar.gz"
    echo "$(basename "$BUNDLE" .tar.gz)  $work/bundle.tar.gz" | sha256sum --check --quiet
    mkdir -p /opt/workmanager
    tar -xzf "$work/bundle.tar.gz" -C /opt/workmanager --no-same-owner
    say unpacked
}

# percent_encoded: prints a line of standard input as a part of a URL: a password can have any characters
percent_encoded() {
    python3.11 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.stdin.read().removesuffix("\n"), safe=""))'
}

# signal SUCCESS|FAILURE: to CloudFormation, which waits for it before it replaces the next host. It takes no signal when
# it is not waiting: when the group has replaced a host that was lost.
signal() {
    aws cloudformation signal-resource --stack-name "$CLUSTER_NAME" --logical-resource-id "$GROUP" \
        --unique-id "$instance_id" --status "$1" || say not_signaled
}

# For managers and the witness: a host that cannot boot tells so, and powers off, so that its group starts another one.
# Before that there is time to look at it, and CloudFormation, if it waits, has rolled the change back.
give_up_host() {
    say failed
    aws cloudwatch put-metric-data --namespace workmanager --metric-data '[{"MetricName": "BootFailures", "Value": 1,
        "Dimensions": [{"Name": "Cluster", "Value": "'"$CLUSTER_NAME"'"}]}]' || true
    signal FAILURE
    sleep "${GIVE_UP_SECONDS:-300}"
    shutdown -h now
}

# ensure_user NAME: a system user without a home or a shell
ensure_user() { id "$1" >/dev/null 2>&1 || useradd --system --no-create-home --shell /sbin/nologin "$1"; }
