# shellcheck shell=bash
# shellcheck disable=SC2154  # `instance_id` and `work` are set by the script that sources this
# Functions for the boot of managers and of the witness, which source this once the bundle is verified and unpacked.
# A host's identity, that is its address and its disk, outlives the host: its replacement takes them over.
# A "store" is a Redis server. Names in capitals are settings of the launch template.

STORE_START_SECONDS=120
# A predecessor that is slow to end keeps the disk and the address for as long as it takes EC2 to stop it. CloudFormation
# waits for half an hour.
IDENTITY_SECONDS=1200

install_units() {
    install -m 0644 /opt/workmanager/infra/host/units/* /etc/systemd/system/
    systemctl daemon-reload
    install -d -m 0755 /etc/workmanager
}

# Packages of the distribution, whose repository is in S3.
install_packages() {
    if ! command -v python3.11 >/dev/null; then
        mkdir "$work/runtime"
        dnf install --assumeyes --quiet --downloadonly --downloaddir="$work/runtime" python3.11
        install_runtime "$work/runtime"
    fi
    if [ -n "$STORES" ] && ! command -v valkey-server >/dev/null; then
        dnf install --assumeyes --quiet valkey
    fi
    say packages_installed
}

# install_runtime DIRECTORY: installs its packages. Without a repository, dnf must be told whose signature to expect.
install_runtime() {
    rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-amazon-linux-2023
    dnf install --assumeyes --quiet --disablerepo='*' --setopt=localpkg_gpgcheck=1 "$1"/*.rpm
}

# Leaves the packages of Python for workers, which have no access to a repository.
leave_runtime() {
    if [ -d "$work/runtime" ]; then
        tar -cf "$work/runtime.tar" -C "$work/runtime" .
        aws s3 cp --only-show-errors "$work/runtime.tar" "$RUNTIMES/$(metadata ami-id).tar"
    fi
}

# Attaches the address and the disk as soon as a predecessor has released them. Creates the file `is_new_host` if the
# disk was empty.
take_identity() {
    local device="/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${DISK//-/}" status=0
    attach has_disk attach-volume --volume-id "$DISK" --device /dev/sdf
    attach has_address attach-network-interface --network-interface-id "$INTERFACE" --device-index 1
    udevadm wait --timeout=120 "$device"
    blkid --probe "$device" >/dev/null || status=$?
    if [ "$status" = 2 ]; then # the disk is empty
        mkfs.xfs -q "$device"
        touch "$work/is_new_host"
    fi
    mkdir -p /var/lib/workmanager
    echo "$device /var/lib/workmanager xfs defaults,noatime,nofail 0 2" >>/etc/fstab
    mount /var/lib/workmanager
    xfs_growfs /var/lib/workmanager >/dev/null # the disk can have been enlarged
    local deadline=$((SECONDS + STORE_START_SECONDS))
    until has_address; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "the address $ADDRESS does not appear after $STORE_START_SECONDS s" >&2
            return 1
        fi
        sleep 0.5
    done
    say identity_taken
}

has_disk() { [ -e "$device" ]; }

has_address() { ip -4 -oneline address show | grep -F " $ADDRESS/" >/dev/null; }

# attach IS_ATTACHED OPERATION OPTION...: until EC2 has done it. If the answer to a call is lost, EC2 refuses the next ones,
# because it is attached already.
attach() {
    local is_attached="$1" deadline=$((SECONDS + IDENTITY_SECONDS)) said=''
    shift
    until aws ec2 "$@" --instance-id "$instance_id" >/dev/null 2>"$work/refusal" || "$is_attached"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "aws ec2 $* failed for $IDENTITY_SECONDS s: $(tail -n 1 "$work/refusal")" >&2
            return 1
        fi
        if [ "$said" != "$(tail -n 1 "$work/refusal")" ]; then
            said="$(tail -n 1 "$work/refusal")"
            echo "aws ec2 $* is repeated: $said" >&2
        fi
        sleep "${RETRY_SECONDS:-5}"
    done
}

configure_stores() {
    local entry port user stage passwords="$work/passwords" users=() mebibytes
    ensure_user workmanager-store
    secret "$STORE_TLS_SECRET" | write_private workmanager-store /etc/workmanager/store.pem
    install -d -m 0700 "$passwords"
    # Servers accept the next and the previous password, too, so that passwords can be rotated.
    for user in manager worker replica administrator operator; do
        for stage in AWSCURRENT AWSPENDING AWSPREVIOUS; do
            if secret "$CLUSTER_NAME/store/$user" "$stage" >"$passwords/$user-$stage" 2>"$work/refusal"; then
                users+=(--password "$user=$passwords/$user-$stage")
            elif [ "$stage" = AWSCURRENT ] || ! grep -q ResourceNotFound "$work/refusal"; then
                cat "$work/refusal" >&2
                return 1
            fi
        done
    done
    program jobqueue.acl "${users[@]}" | write_private workmanager-store /etc/workmanager/users.acl
    # A host has two servers with jobs. Each may have to hold all jobs, and a rewrite needs memory for its copy.
    mebibytes="$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
    for entry in $STORES; do
        port="${entry%:*}"
        install -d -o workmanager-store -g workmanager-store -m 0700 "/var/lib/workmanager/$port"
        program workmanager.store_settings --role "${entry#*:}" --port "$port" --address "$ADDRESS" \
            --directory "/var/lib/workmanager/$port" --max-memory "$((mebibytes * 35 / 100))mb" \
            --tls-certificate /etc/workmanager/store.pem --tls-key /etc/workmanager/store.pem \
            --tls-authority /etc/workmanager/ca.pem --acl-file /etc/workmanager/users.acl \
            --replication-user replica --replication-password-file "$passwords/replica-AWSCURRENT" |
            write_private workmanager-store "/etc/workmanager/store-$port.conf"
    done
    rm -rf "$passwords"
    # Without it, a rewrite of the append-only file fails for lack of memory.
    echo 'vm.overcommit_memory = 1' >/etc/sysctl.d/90-workmanager.conf
    sysctl --quiet --load=/etc/sysctl.d/90-workmanager.conf
    for entry in $STORES; do
        start "workmanager-store@${entry%:*}.service"
    done
    for entry in $STORES; do
        wait_for_store "${entry%:*}"
    done
    say stores_started
}

# wait_for_store PORT: until it listens. If the server cannot run (it has no TLS, or a file is unreadable), the boot
# fails.
wait_for_store() {
    local deadline=$((SECONDS + STORE_START_SECONDS))
    until (exec 3<>"/dev/tcp/$ADDRESS/$1") 2>/dev/null; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "the Redis server on port $1 does not listen after $STORE_START_SECONDS s:" >&2
            journalctl --unit="workmanager-store@$1" --lines=20 --no-pager >&2 || true
            return 1
        fi
        sleep 0.2
    done
}

# secret ID [STAGE]: prints its value. Only the present one must exist.
secret() {
    local how=(patiently)
    if [ "${2:-AWSCURRENT}" != AWSCURRENT ]; then
        how=(env)
    fi
    "${how[@]}" aws secretsmanager get-secret-value --secret-id "$1" --version-stage "${2:-AWSCURRENT}" \
        --query SecretString --output text
}

# write_private OWNER FILE: writes standard input to a file that only its owner can read
write_private() {
    install -o "$1" -g "$1" -m 0600 /dev/null "$2"
    cat >"$2"
}

# program MODULE [ARGUMENT...]: runs a Python program of the bundle as root
program() { PYTHONPATH=/opt/workmanager/site python3.11 -m "$@"; }

start() { systemctl enable --now --quiet "$@"; }
