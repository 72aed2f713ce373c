# shellcheck shell=bash
# shellcheck disable=SC2154  # teardown.sh sets `name`, `region`, `bucket` and `purge`
# Sourced by teardown.sh: what is no part of the stack, and the stack when its deletion fails. Each function does what it
# can, and goes on; `leftovers` finds what is left by its tag, also for a run that begins when the stack is gone.

# What AWS releases only some time after its user is gone: a load balancer's certificate, network interfaces.
release_seconds="${WORKMANAGER_RELEASE_SECONDS:-1200}"

# try WORD...: runs a command until it succeeds or AWS has had the time to release what it needs
try() {
    local deadline=$((SECONDS + release_seconds)) refusal said=''
    refusal="$(mktemp)"
    until "$@" >/dev/null 2>"$refusal"; do
        if ! grep -q -e ResourceInUse -e DependencyViolation -e Throttling -e 'currently in use' "$refusal" ||
            [ "$SECONDS" -ge "$deadline" ]; then
            say "$(tail -1 "$refusal")"
            rm -f "$refusal"
            return 1
        fi
        [ -n "$said" ] || say "AWS still says that it is in use; waiting up to $((release_seconds / 60)) minutes"
        said=yes
        sleep "$poll_seconds"
    done
    rm -f "$refusal"
}

# delete_stack: several times, because network interfaces of a deleted load balancer stay for minutes
delete_stack() {
    local since deadline=$((SECONDS + release_seconds))
    while [ "$(stack_status)" != none ]; do
        since="$(latest_event)"
        say "deleting the stack"
        if ! aws cloudformation delete-stack --stack-name "$name"; then
            return
        fi
        if aws cloudformation wait stack-delete-complete --stack-name "$name" 2>/dev/null; then
            describe_stack
            continue
        fi
        describe_stack
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "the stack could not be deleted, because of"
            print_failures "$name" "$since"
            tell_endpoints
            return
        fi
        sleep "$poll_seconds"
    done
}

# GuardDuty puts an endpoint and a security group into every network with instances, which keep it from being deleted:
# https://docs.aws.amazon.com/guardduty/latest/ug/runtime-monitoring-agent-resource-clean-up.html
tell_endpoints() {
    local network found
    network="$(aws cloudformation describe-stack-resources --stack-name "$name" --logical-resource-id Vpc \
        --query 'StackResources[0].PhysicalResourceId' --output text 2>/dev/null || true)"
    if [ -z "$network" ] || [ "$network" = None ]; then
        return
    fi
    found="$(aws ec2 describe-vpc-endpoints --filters "Name=vpc-id,Values=$network" --output text --query \
        "VpcEndpoints[?Tags[?Key=='GuardDutyManaged']].VpcEndpointId" 2>/dev/null || true)"
    if [ -n "$found" ]; then
        say "GuardDuty has an endpoint in the network $network. Delete it, then its security group, and run this again:"
        say "  aws ec2 delete-vpc-endpoints --region $region --vpc-endpoint-ids $found"
    fi
}

delete_certificates() {
    local arn
    for arn in $(certificates); do
        say "deleting the certificate $arn"
        try aws acm delete-certificate --certificate-arn "$arn" || true
    done
}

certificates() {
    local arn
    for arn in $(aws acm list-certificates --includes \
        keyTypes=RSA_1024,RSA_2048,RSA_3072,RSA_4096,EC_prime256v1,EC_secp384r1,EC_secp521r1 \
        --query 'CertificateSummaryList[].CertificateArn' --output text); do
        if is_own_certificate "$arn"; then
            echo "$arn"
        fi
    done
}

# Of setup.sh, and of a stack that could not delete its own.
delete_secrets() {
    local arn
    for arn in $(secrets); do
        try aws secretsmanager delete-secret --secret-id "$arn" --force-delete-without-recovery || true
    done
}

secrets() {
    aws secretsmanager list-secrets --query "SecretList[?starts_with(Name, '$name/') &&
        Tags[?Key=='workmanager:cluster' && Value=='$name']].ARN" --output text
}

# Snapshots are made of disks that an update replaced.
delete_snapshots() {
    local id
    for id in $(snapshots); do
        try aws ec2 delete-snapshot --snapshot-id "$id" || true
    done
}

snapshots() {
    aws ec2 describe-snapshots --owner-ids self --filters "Name=tag:workmanager:cluster,Values=$name" \
        --query 'Snapshots[].SnapshotId' --output text
}

revoke_grants() {
    local id
    if [ -z "$key" ]; then
        return
    fi
    for id in $(grants); do
        aws kms revoke-grant --key-id "$key" --grant-id "$id" || true
    done
}

# leftovers: prints a line for each thing that is left
leftovers() {
    local id
    [ "$(stack_status)" = none ] || echo "stack $name ($(stack_status))"
    for id in $(instances manager,witness,worker,image); do echo "instance $id"; done
    for id in $(certificates); do echo "certificate $id"; done
    for id in $(secrets); do echo "secret $id"; done
    for id in $(aws ec2 describe-volumes --filters "Name=tag:workmanager:cluster,Values=$name" \
        --query 'Volumes[].VolumeId' --output text); do echo "volume $id"; done
    for id in $(aws ec2 describe-network-interfaces --filters "Name=tag:workmanager:cluster,Values=$name" \
        --query 'NetworkInterfaces[].NetworkInterfaceId' --output text); do echo "network interface $id"; done
    if [ "$purge" = yes ]; then
        for id in $(snapshots); do echo "snapshot $id"; done
        ! bucket_exists || echo "bucket $bucket"
    fi
}
