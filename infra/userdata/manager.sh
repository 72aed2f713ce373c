# shellcheck shell=bash
# shellcheck disable=SC2154  # `instance_id` and `work` are set by common.sh, the settings by the launch template
# Boots a manager, once, as root. Ends with its Redis servers and the manager running. It then signals success to
# CloudFormation, or failure; the reason for a failure is in the instance's console output.
#
# The launch template puts common.sh in front of this text, and before that these settings; none is a secret:
#   CLUSTER_NAME    name of the cluster, and of its stack
#   GROUP           name of this host in the stack
#   BUNDLE          the program's archive: s3://BUCKET/bundle/SHA256.tar.gz
#   RUNTIMES        where Python packages are left for workers: s3://BUCKET/runtime
#   BACKUPS HOST    where the append-only files are copied to, s3://BUCKET/backup, and this host's name there
#   TARGETS         target group of the load balancer
#   LOG_GROUP       in CloudWatch
#   REDIS_URL REDIS_SECRET CLUSTER_HOSTS CA_CERTIFICATE API_KEYS_SECRET
#   LAUNCH_TEMPLATE SUBNETS INSTANCE_TYPES WORKER_SLOTS ON_DEMAND_BASE MIN_WORKERS MAX_WORKERS
#   ON_DEMAND_MAX   a number, or `none`
#   STORES          PORT:ROLE of each Redis server ("store") on this host; empty with an existing cluster
#   ADDRESS INTERFACE DISK    with STORES: what outlives the host
#   STORE_TLS_SECRET          with STORES: the servers' certificate and key. Their users' passwords are the secrets
#                             CLUSTER_NAME/store/USER
#   AWS_DEFAULT_REGION, exported

# shellcheck disable=SC2034  # common.sh uses it
ROLE=manager
READY_SECONDS=600
BALANCER_SECONDS=300

trap give_up_host EXIT
unpack_bundle

# shellcheck source=infra/host/boot.sh
. /opt/workmanager/infra/host/boot.sh

ensure_user workmanager
install_units
install_packages
leave_runtime

if [ -n "$CA_CERTIFICATE" ]; then
    echo "$CA_CERTIFICATE" >/etc/workmanager/ca.pem
fi
cluster_url='' most_on_demand="${ON_DEMAND_MAX#none}"
if [ -n "$STORES" ]; then
    take_identity
    configure_stores
    cluster_url="${REDIS_URL/manager:PASSWORD/administrator:"$(secret "$CLUSTER_NAME/store/administrator" | percent_encoded)"}"
fi

password=''
if [ -n "$REDIS_SECRET" ]; then
    password="$(secret "$REDIS_SECRET" | percent_encoded)"
fi
api_keys="$(secret "$API_KEYS_SECRET")"
write_private root /etc/workmanager/manager.env <<SETTINGS
WORKMANAGER_REDIS_URL=${REDIS_URL//PASSWORD/"$password"}
WORKMANAGER_API_KEYS=$api_keys
WORKMANAGER_CLUSTER_HOSTS=$CLUSTER_HOSTS
${cluster_url:+WORKMANAGER_CLUSTER_URL=$cluster_url}
WORKMANAGER_CLUSTER_NAME=$CLUSTER_NAME
WORKMANAGER_LAUNCH_TEMPLATE=$LAUNCH_TEMPLATE
WORKMANAGER_SUBNETS=$SUBNETS
WORKMANAGER_INSTANCE_TYPES=$INSTANCE_TYPES
WORKMANAGER_WORKER_SLOTS=$WORKER_SLOTS
WORKMANAGER_ON_DEMAND_BASE=$ON_DEMAND_BASE
${most_on_demand:+WORKMANAGER_ON_DEMAND_MAX=$most_on_demand}
WORKMANAGER_MIN_WORKERS=$MIN_WORKERS
WORKMANAGER_MAX_WORKERS=$MAX_WORKERS
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
SETTINGS
cat >/etc/workmanager/host.env <<SETTINGS
CLUSTER_NAME=$CLUSTER_NAME
LOG_GROUP=$LOG_GROUP
LOG_STREAM=manager/$instance_id
BACKUPS=$BACKUPS
HOST=$HOST
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
SETTINGS
start workmanager-logs.service workmanager-manager.service workmanager-metrics.service
if [ -n "$STORES" ]; then
    start workmanager-backup.timer
fi
say manager_started
# From here on, a failure does not power it off: a manager that waits for the other hosts must not go away.
trap 'say failed; signal FAILURE' EXIT

# in_service: whether the load balancer sends clients here: a target is `initial` for a minute or two. It is not used
# while the stack is being created, and has no listener yet.
in_service() {
    aws elbv2 describe-target-health --target-group-arn "$TARGETS" --targets "[{\"Id\": \"$instance_id\"}]" \
        --query TargetHealthDescriptions --output json |
        grep -e '"State": "healthy"' -e '"Target.NotInUse"' >/dev/null
}

# The first host of a new cluster cannot become ready before the others exist. A host that replaces another one must be
# ready, with its copy of the other host's data, before CloudFormation replaces the next. Not `grep -q`: it ends at the
# first match, and curl then fails because nobody reads the rest.
is_ready() {
    curl -sSf --max-time 5 http://127.0.0.1:5000/readyz >/dev/null || return
    if [ -n "$STORES" ]; then
        curl -sSf --max-time 5 -H @"$work/authorization" http://127.0.0.1:5000/metrics |
            grep '^workmanager_cluster_replicas_missing 0' >/dev/null
    fi
}
if [ ! -e "$work/is_new_host" ]; then
    echo "Authorization: Bearer ${api_keys%%,*}" | write_private root "$work/authorization"
    deadline=$((SECONDS + READY_SECONDS))
    until is_ready 2>"$work/reason"; do
        if systemctl is-failed --quiet workmanager-manager.service; then
            echo "the manager refuses its settings:" >&2
            journalctl --unit=workmanager-manager.service --lines=3 --output=cat --no-pager >&2
            exit 1
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "the manager is not ready after $READY_SECONDS s: $(cat "$work/reason")" >&2
            exit 1
        fi
        sleep 2
    done
    say manager_ready
    deadline=$((SECONDS + BALANCER_SECONDS))
    until in_service 2>"$work/reason"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "the load balancer does not use this manager after $BALANCER_SECONDS s: $(cat "$work/reason")" >&2
            exit 1
        fi
        sleep 2
    done
fi
rm -rf "$work"
say ready
trap - EXIT
signal SUCCESS
