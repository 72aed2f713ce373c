# shellcheck shell=bash
# The witness's boot, once, as root: one Redis server, which holds no jobs but votes. Ends with CloudFormation told that
# it runs, or that it failed; the reason is then in the instance's console output.
#
# The launch template puts these in front of this text; none is a secret:
#   NAME GROUP BUNDLE RUNTIMES LOG_GROUP CA_CERTIFICATE STORES ADDRESS INTERFACE DISK STORE_TLS_SECRET
#   AWS_DEFAULT_REGION, exported; all as in manager.sh
set -euo pipefail

METADATA="${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}"
# One try of a second, as aws-cli does by itself, is little while everything starts at once.
export AWS_METADATA_SERVICE_TIMEOUT=20 AWS_METADATA_SERVICE_NUM_ATTEMPTS=5

say() { echo "event=witness_boot step=$1 uptime_seconds=$(cut -d' ' -f1 /proc/uptime)"; }

metadata() {
    local token
    token="$(curl -sSf --retry 9 --retry-all-errors --max-time 2 -X PUT "$METADATA/latest/api/token" \
        -H 'X-aws-ec2-metadata-token-ttl-seconds: 300')"
    curl -sSf --retry 9 --retry-all-errors --max-time 2 "$METADATA/latest/meta-data/$1" \
        -H "X-aws-ec2-metadata-token: $token"
}

say began
instance_id="$(metadata instance-id)"
work="$(mktemp -d)"
aws s3 cp --only-show-errors "$BUNDLE" "$work/bundle.tar.gz"
echo "$(basename "$BUNDLE" .tar.gz)  $work/bundle.tar.gz" | sha256sum --check --quiet
mkdir -p /opt/workmanager
tar -xzf "$work/bundle.tar.gz" -C /opt/workmanager --no-same-owner
say unpacked

# shellcheck source=infra/host/boot.sh
. /opt/workmanager/infra/host/boot.sh
trap 'say failed; signal FAILURE' EXIT

install -m 0644 /opt/workmanager/infra/host/units/* /etc/systemd/system/
systemctl daemon-reload
install -d -m 0755 /etc/workmanager
install_packages
echo "$CA_CERTIFICATE" >/etc/workmanager/ca.pem
take_identity
configure_stores
cat >/etc/workmanager/host.env <<SETTINGS
NAME=$NAME
LOG_GROUP=$LOG_GROUP
LOG_STREAM=witness/$instance_id
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
SETTINGS
start workmanager-logs.service
rm -rf "$work"
trap - EXIT
say ready
signal SUCCESS
