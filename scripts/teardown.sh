#!/usr/bin/env bash
# shellcheck disable=SC2034,SC2154  # the files that it sources set and use its variables
# Deletes a deployment of setup.sh, with its queued jobs and unpulled results:
#
#   ./scripts/teardown.sh [--name N] [--region R] [--yes] [--purge]
#
# --name     name of the cluster (default: workmanager)
# --region   AWS region (default: that of aws-cli)
# --yes      do not ask for confirmation
# --purge    delete the bucket, too, with its bundles and backups, and the snapshots of replaced disks
#
# It does all that it can, and waits for what AWS releases late (a load balancer's certificate: up to 20 minutes). It ends
# with exit code 1, and a list, if anything is left. It can be run again, also when the stack is gone.
set -euo pipefail

script=teardown
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
for part in aws state failures keys remains; do
    # shellcheck source=/dev/null
    . "$root/scripts/_$part.sh"
done

name=workmanager region='' yes=no purge=no
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help) print_help && exit ;;
    --yes) yes=yes ;;
    --purge) purge=yes ;;
    --name | --region)
        [ $# -ge 2 ] || usage "$1 needs a value"
        if [ "$1" = --name ]; then name="$2"; else region="$2"; fi
        shift
        ;;
    --*=*) usage "${1%%=*}: give the value as the next argument, without =" ;;
    -*) usage "unknown option $1" ;;
    *) usage "unexpected argument $1" ;;
    esac
    shift
done

main() {
    local left
    check_caller
    describe_stack
    find_bucket
    key="$(parameter KmsKey)"
    confirm
    settle_stack
    stop_hosts
    terminate_workers
    delete_stack
    delete_certificates
    delete_secrets
    revoke_grants
    if bucket_exists; then
        s3api delete-object --key deployment/parameters.json >/dev/null || true
        if [ "$purge" = yes ]; then
            say "deleting the bucket $bucket"
            delete_bucket || true
            delete_snapshots
        else
            say "the bucket $bucket stays, with its backups (--purge deletes it)"
        fi
    fi
    left="$(leftovers)"
    if [ -n "$left" ]; then
        say "not everything could be deleted; run this again later. There is still:"
        printf '  %s\n' "${left//$'\n'/$'\n'  }" >&2
        exit 1
    fi
    say "done"
}

confirm() {
    if [ "$yes" = yes ]; then
        return
    fi
    local answer
    say "this deletes the cluster $name in $region, account $account, with all its jobs"
    read -r -p "Type the cluster's name to continue: " answer
    [ "$answer" = "$name" ] || fail "aborted; nothing was deleted"
}

# Hosts of the stack go first: while a scaler runs, it replaces terminated workers.
stop_hosts() {
    local groups group
    groups="$(aws cloudformation describe-stack-resources --stack-name "$name" --output text --query \
        "StackResources[?ResourceType=='AWS::AutoScaling::AutoScalingGroup' && PhysicalResourceId].PhysicalResourceId" \
        2>/dev/null || true)"
    for group in $groups; do
        aws autoscaling update-auto-scaling-group --auto-scaling-group-name "$group" \
            --min-size 0 --max-size 0 --desired-capacity 0 2>/dev/null || true
    done
    terminate "managers and witness" manager,witness
}

# Workers are not part of the stack, nor is an instance that bake.sh could not end.
terminate_workers() { terminate workers worker,image; }

# terminate DESCRIPTION ROLES: terminates instances and waits for them; what they use cannot be deleted before
terminate() {
    local ids
    ids="$(instances "$2")"
    if [ -z "$ids" ]; then
        return
    fi
    say "terminating $1: $(($(wc -w <<<"$ids")))"
    xargs -n 100 aws ec2 terminate-instances --instance-ids <<<"$ids" >/dev/null || true
    xargs -n 100 aws ec2 wait instance-terminated --instance-ids <<<"$ids" || true
}

instances() {
    aws ec2 describe-instances --output text --query 'Reservations[].Instances[].InstanceId' --filters \
        "Name=tag:workmanager:cluster,Values=$name" "Name=tag:workmanager:role,Values=$1" \
        'Name=instance-state-name,Values=pending,running,stopping,stopped,shutting-down'
}

main
