# shellcheck shell=bash
# A manager's boot, once, as root. Ends with its Redis servers and the manager running and CloudFormation told so, or
# told of the failure; the reason is then in the instance's console output.
#
# The launch template puts these in front of this text; none is a secret:
#   NAME GROUP      of the cluster, and of this host in the stack
#   BUNDLE          the program's archive: s3://BUCKET/bundle/SHA256.tar.gz
#   RUNTIMES        where Python's packages are left for workers: s3://BUCKET/runtime
#   BACKUPS         where the append-only files go: s3://BUCKET/backup/HOST
#   LOG_GROUP       in CloudWatch
#   REDIS_URL REDIS_SECRET CLUSTER_HOSTS CA_CERTIFICATE API_KEYS_SECRET
#   LAUNCH_TEMPLATE SUBNETS INSTANCE_TYPES WORKER_SLOTS ON_DEMAND_BASE MIN_WORKERS MAX_WORKERS
#   STORES          PORT:ROLE of each Redis server here; empty with somebody else's cluster. Where there are some:
#   ADDRESS INTERFACE DISK    what outlives the host
#   STORE_TLS_SECRET    the servers' certificate and its key; the users' passwords are the secrets NAME/store/USER
#   AWS_DEFAULT_REGION, exported
set -euo pipefail

METADATA="${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}"
# One try of a second, as aws-cli does by itself, is little while everything starts at once.
export AWS_METADATA_SERVICE_TIMEOUT=20 AWS_METADATA_SERVICE_NUM_ATTEMPTS=5
READY_SECONDS=600

say() { echo "event=manager_boot step=$1 uptime_seconds=$(cut -d' ' -f1 /proc/uptime)"; }

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
id workmanager >/dev/null 2>&1 || useradd --system --no-create-home --shell /sbin/nologin workmanager
install_packages
leave_runtime

if [ -n "$CA_CERTIFICATE" ]; then
    echo "$CA_CERTIFICATE" >/etc/workmanager/ca.pem
fi
cluster_url=''
if [ -n "$STORES" ]; then
    take_identity
    configure_stores
    cluster_url="${REDIS_URL/manager:PASSWORD/administrator:"$(secret "$NAME/store/administrator")"}"
fi

password=''
if [ -n "$REDIS_SECRET" ]; then
    password="$(secret "$REDIS_SECRET")"
fi
api_keys="$(secret "$API_KEYS_SECRET")"
write_private root /etc/workmanager/manager.env <<SETTINGS
WORKMANAGER_REDIS_URL=${REDIS_URL//PASSWORD/"$password"}
WORKMANAGER_API_KEYS=$api_keys
WORKMANAGER_CLUSTER_HOSTS=$CLUSTER_HOSTS
${cluster_url:+WORKMANAGER_CLUSTER_URL=$cluster_url}
WORKMANAGER_CLUSTER_NAME=$NAME
WORKMANAGER_LAUNCH_TEMPLATE=$LAUNCH_TEMPLATE
WORKMANAGER_SUBNETS=$SUBNETS
WORKMANAGER_INSTANCE_TYPES=$INSTANCE_TYPES
WORKMANAGER_WORKER_SLOTS=$WORKER_SLOTS
WORKMANAGER_ON_DEMAND_BASE=$ON_DEMAND_BASE
WORKMANAGER_MIN_WORKERS=$MIN_WORKERS
WORKMANAGER_MAX_WORKERS=$MAX_WORKERS
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
SETTINGS
cat >/etc/workmanager/host.env <<SETTINGS
NAME=$NAME
LOG_GROUP=$LOG_GROUP
LOG_STREAM=manager/$instance_id
BACKUPS=$BACKUPS
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
SETTINGS
start workmanager-logs.service workmanager-manager.service workmanager-metrics.service
if [ -n "$STORES" ]; then
    start workmanager-backup.timer
fi
say manager_started

# The first host of a new cluster cannot be ready before the others are there. One that takes another's place must be,
# with its copy of the other host's data, before CloudFormation replaces that one too.
ready() {
    curl -sSf --max-time 5 http://127.0.0.1:5000/readyz >/dev/null || return
    if [ -n "$STORES" ]; then
        curl -sSf --max-time 5 -H @"$work/authorization" http://127.0.0.1:5000/metrics |
            grep -q '^workmanager_cluster_replicas_missing 0'
    fi
}
if [ ! -e "$work/is_new_host" ]; then
    echo "Authorization: Bearer ${api_keys%%,*}" | write_private root "$work/authorization"
    deadline=$((SECONDS + READY_SECONDS))
    until ready 2>"$work/reason"; do
        if systemctl is-failed --quiet workmanager-manager.service; then
            echo "the manager refuses its settings:" >&2
            journalctl --unit=workmanager-manager.service --lines=3 --output=cat --no-pager >&2
            exit 1
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "not ready after $READY_SECONDS s: $(cat "$work/reason")" >&2
            exit 1
        fi
        sleep 2
    done
fi
rm -rf "$work"
say ready
trap - EXIT
signal SUCCESS
