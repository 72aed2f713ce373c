#!/usr/bin/env bash
# Takes a deployment of setup.sh down: ./scripts/teardown.sh [--name N] [--region R] [--yes] [--purge]
#
# Queued jobs and unpulled results are gone with it. The bucket, with bundles and backups, stays unless --purge is given.
# It asks first, unless --yes is given.
set -euo pipefail

script=teardown
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=scripts/_aws.sh
. "$root/scripts/_aws.sh"

name=workmanager region='' yes=no purge=no
while [ $# -gt 0 ]; do
    case "$1" in
    --name) name="${2:?}" && shift ;;
    --region) region="${2:?}" && shift ;;
    --yes) yes=yes ;;
    --purge) purge=yes ;;
    *) say "error: $1 is no option (see the first lines of $0)" && exit 2 ;;
    esac
    shift
done

main() {
    check_caller
    look
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
    say "this deletes the cluster $name in $region, account $account, with every job in it"
    read -r -p "Type the cluster's name to go on: " answer
    [ "$answer" = "$name" ] || fail "nothing was done"
}

# First those who launch: whoever terminates workers while a scaler runs gets new ones.
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

# Workers are no members of the stack.
terminate_workers() { terminate workers worker; }

# terminate WHAT ROLES: and waits until they are gone, since what they use cannot be deleted before
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
    local began
    began="$(date -u +%Y-%m-%dT%H:%M:%S)"
    say "deleting the stack"
    aws cloudformation delete-stack --stack-name "$name"
    if ! aws cloudformation wait stack-delete-complete --stack-name "$name"; then
        say "the stack could not be deleted, because of"
        print_failures "$name" "$began"
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
