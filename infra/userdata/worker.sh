# shellcheck shell=bash
# shellcheck disable=SC2154  # `instance_id` and `work` are set by common.sh, the settings by the launch template
# Boots a worker, once, as root. Ends with the worker's unit running, or with the instance powered off. Every exit of
# this script and of the worker leads to `shutdown`, which the launch template turns into a termination.
#
# The launch template puts common.sh in front of this text, and before that these settings; none is a secret:
#   CLUSTER_NAME    name of the cluster
#   BUNDLE          the program's archive: s3://BUCKET/bundle/SHA256.tar.gz
#   RUNTIMES        where managers leave Python packages for images without Python 3.11: s3://BUCKET/runtime
#   REDIS_URL       with the word PASSWORD in place of the password
#   REDIS_SECRET    id of the secret that holds the password; empty if Redis needs none
#   CA_CERTIFICATE  PEM, written to /etc/workmanager/ca.pem, which REDIS_URL then names; empty if Redis needs none
#   LOG_GROUP       in CloudWatch; empty: logs stay on the instance
#   AWS_DEFAULT_REGION, exported

# shellcheck disable=SC2034  # common.sh uses it
ROLE=worker
BOOT_SECONDS=600 # an instance whose worker does not run by then powers off

give_up() {
    say failed
    shutdown -h now
}
trap give_up EXIT
(sleep "$BOOT_SECONDS" && shutdown -h now) >/dev/null 2>&1 &
deadline=$!

unpack_bundle

# Amazon Linux 2023 has Python 3.9. A manager has left Amazon's signed packages for this image's release.
if ! command -v python3.11 >/dev/null; then
    patiently aws s3 cp --only-show-errors "$RUNTIMES/$(metadata ami-id).tar" "$work/runtime.tar"
    mkdir "$work/runtime"
    tar -xf "$work/runtime.tar" -C "$work/runtime"
    rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-amazon-linux-2023
    dnf install --assumeyes --quiet --disablerepo='*' --setopt=localpkg_gpgcheck=1 "$work"/runtime/*.rpm
fi
rm -rf "$work"
say runtime_ready

ensure_user workmanager
ensure_user workmanager-jobs
install -d -m 0755 /etc/workmanager
if [ -n "$CA_CERTIFICATE" ]; then
    echo "$CA_CERTIFICATE" >/etc/workmanager/ca.pem
fi
password=''
if [ -n "$REDIS_SECRET" ]; then
    password="$(patiently aws secretsmanager get-secret-value --secret-id "$REDIS_SECRET" --query SecretString \
        --output text | percent_encoded)"
fi
# Only root may read it. systemd does so before it switches to the worker's user.
install -m 0600 /dev/null /etc/workmanager/worker.env
cat >/etc/workmanager/worker.env <<SETTINGS
WORKMANAGER_REDIS_URL=${REDIS_URL//PASSWORD/"$password"}
CLUSTER_NAME=$CLUSTER_NAME
INSTANCE_ID=$instance_id
SETTINGS
cat >/etc/workmanager/host.env <<SETTINGS
LOG_GROUP=$LOG_GROUP
LOG_STREAM=worker/$instance_id
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
SETTINGS

units=(workmanager-worker.service)
if [ -n "$LOG_GROUP" ]; then
    units+=(workmanager-logs.service)
fi
for unit in "${units[@]}"; do
    install -m 0644 "/opt/workmanager/infra/host/units/$unit" /etc/systemd/system/
done
systemctl daemon-reload
systemctl enable --now --quiet "${units[@]}"
say worker_started

kill "$deadline" || true
trap - EXIT
