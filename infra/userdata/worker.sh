# shellcheck shell=bash
# A worker's boot, once, as root. Ends with the worker's unit running, or with the instance powered off: every exit
# path of this script and of the worker leads to `shutdown`, which the launch template makes a termination.
#
# The launch template puts these in front of this text; none is a secret:
#   NAME            of the cluster
#   BUNDLE          the program's archive: s3://BUCKET/bundle/SHA256.tar.gz
#   RUNTIMES        where managers leave packages for images without Python 3.11: s3://BUCKET/runtime
#   REDIS_URL       of the cluster, the word PASSWORD in it where the password goes
#   REDIS_SECRET    the id of the secret that is the password; empty: none is needed
#   CA_CERTIFICATE  PEM, for /etc/workmanager/ca.pem, which REDIS_URL then names; empty: none is needed
#   LOG_GROUP       in CloudWatch; empty: logs stay on the instance
#   AWS_DEFAULT_REGION, exported
set -euo pipefail

BOOT_SECONDS=600 # an instance that is not a worker by then is none
METADATA="${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}"
# One try of a second, as aws-cli does by itself, is little while everything starts at once.
export AWS_METADATA_SERVICE_TIMEOUT=20 AWS_METADATA_SERVICE_NUM_ATTEMPTS=5

say() { echo "event=worker_boot step=$1 uptime_seconds=$(cut -d' ' -f1 /proc/uptime)"; }

give_up() {
    say failed
    shutdown -h now
}
trap give_up EXIT
(sleep "$BOOT_SECONDS" && shutdown -h now) >/dev/null 2>&1 &
deadline=$!

metadata() {
    local token
    token="$(curl -sSf --retry 9 --retry-all-errors --max-time 2 -X PUT "$METADATA/latest/api/token" \
        -H 'X-aws-ec2-metadata-token-ttl-seconds: 300')"
    curl -sSf --retry 9 --retry-all-errors --max-time 2 "$METADATA/latest/meta-data/$1" \
        -H "X-aws-ec2-metadata-token: $token"
}

say began
instance_id="$(metadata instance-id)"

# The program, verified before anything of it is looked at.
work="$(mktemp -d)"
aws s3 cp --only-show-errors "$BUNDLE" "$work/bundle.tar.gz"
sha256="$(basename "$BUNDLE" .tar.gz)"
echo "$sha256  $work/bundle.tar.gz" | sha256sum --check --quiet
mkdir -p /opt/workmanager
tar -xzf "$work/bundle.tar.gz" -C /opt/workmanager --no-same-owner
say unpacked

# Amazon Linux 2023 has Python 3.9. A manager has left the packages of this image's release, which Amazon has signed.
if ! command -v python3.11 >/dev/null; then
    aws s3 cp --only-show-errors "$RUNTIMES/$(metadata ami-id).tar" "$work/runtime.tar"
    mkdir "$work/runtime"
    tar -xf "$work/runtime.tar" -C "$work/runtime"
    rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-amazon-linux-2023
    dnf install --assumeyes --quiet --disablerepo='*' --setopt=localpkg_gpgcheck=1 "$work"/runtime/*.rpm
fi
rm -rf "$work"
say runtime_ready

id workmanager >/dev/null 2>&1 || useradd --system --no-create-home --shell /sbin/nologin workmanager
install -d -m 0755 /etc/workmanager
if [ -n "$CA_CERTIFICATE" ]; then
    echo "$CA_CERTIFICATE" >/etc/workmanager/ca.pem
fi
password=''
if [ -n "$REDIS_SECRET" ]; then
    password="$(aws secretsmanager get-secret-value --secret-id "$REDIS_SECRET" --query SecretString --output text)"
fi
# Root's alone: systemd reads it before it becomes the worker's user.
install -m 0600 /dev/null /etc/workmanager/worker.env
cat >/etc/workmanager/worker.env <<SETTINGS
WORKMANAGER_REDIS_URL=${REDIS_URL//PASSWORD/"$password"}
NAME=$NAME
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
