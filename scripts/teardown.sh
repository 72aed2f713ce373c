#!/usr/bin/env bash
# Deletes a deployment of setup.sh, with its queued jobs and unpulled results:
#
#   ./scripts/teardown.sh [--name N] [--region R] [--yes] [--purge]
#
# --name     name of the cluster (default: workmanager)
# --region   AWS region (default: that of aws-cli)
# --yes      do not ask for confirmation
# --purge    delete the bucket, too, with its bundles and backups
set -euo pipefail

script=teardown
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=scripts/_aws.sh
. "$root/scripts/_aws.sh"

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
    check_caller
    describe_stack
    certificate="$(parameter CertificateArn)"
    confirm
    stop_hosts
    terminate_workers
    delete_stack
    delete_certificate
    delete_secrets
    if [ "$purge" = yes ] && aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
        say "deleting the bucket $bucket"
        aws s3 rb --force "s3://$bucket" >/dev/null
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

# Workers are not part of the stack.
terminate_workers() { terminate workers worker; }

# terminate DESCRIPTION ROLES: terminates instances and waits for them; what they use cannot be deleted before
terminate() {
    local ids
    ids="$(instances "$2")"
    if [ -z "$ids" ]; then
        return
    fi
    say "terminating $1: $(wc -w <<<"$ids")"
    xargs -n 100 aws ec2 terminate-instances --instance-ids <<<"$ids" >/dev/null
    xargs -n 100 aws ec2 wait instance-terminated --instance-ids <<<"$ids"
}

instances() {
    aws ec2 describe-instances --output text --query 'Reservations[].Instances[].InstanceId' --filters \
        "Name=tag:workmanager:cluster,Values=$name" "Name=tag:workmanager:role,Values=$1" \
        'Name=instance-state-name,Values=pending,running,stopping,stopped,shutting-down'
}

delete_stack() {
    if [ "$(stack_status)" = none ]; then
        return
    fi
    local started_at
    started_at="$(date -u +%Y-%m-%dT%H:%M:%S)"
    say "deleting the stack"
    aws cloudformation delete-stack --stack-name "$name"
    if ! aws cloudformation wait stack-delete-complete --stack-name "$name"; then
        say "the stack could not be deleted, because of"
        print_failures "$name" "$started_at"
        exit 1
    fi
}

delete_certificate() {
    if [ -n "$certificate" ] && aws acm list-tags-for-certificate --certificate-arn "$certificate" --output text \
        2>/dev/null | grep -q "workmanager:cluster.*$name"; then
        aws acm delete-certificate --certificate-arn "$certificate"
    fi
}

delete_secrets() {
    local secret
    for secret in "$name/authority" "$name/store-tls" "$name/redis-password"; do
        if secret_exists "$secret"; then
            aws secretsmanager delete-secret --secret-id "$secret" --force-delete-without-recovery >/dev/null
        fi
    done
}

main
