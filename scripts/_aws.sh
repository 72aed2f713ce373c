# shellcheck shell=bash
# shellcheck disable=SC2154  # the script that sources this sets `script` and `name`
# Sourced by setup.sh, teardown.sh and bake.sh: functions for AWS. Uses `script`, `name` and `region`; aws-cli finds endpoint and
# credentials as usual.

say() { echo "$script: $*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# usage MESSAGE: a usage error
usage() {
    say "error: $1 (see --help)"
    exit 2
}

# The comment at the top of the script that sources this.
print_help() { awk 'NR == 1 || /^# shellcheck/ { next } /^set -/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

# Sets `region`, `partition`, `account` and `caller`.
check_caller() {
    command -v aws >/dev/null || fail "aws-cli is not installed; install it and configure credentials"
    region="${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}}"
    [ -n "$region" ] || fail "no region is set; give --region, or set AWS_REGION"
    case "$region" in
    # Other names of services (amazonaws.com.cn, amazonaws.eu), a licence for port 443, and no access to PyPI from some
    # networks.
    cn-* | *-iso* | eusc-*) fail "--region $region: workmanager runs in the partitions aws and aws-us-gov only" ;;
    esac
    export AWS_DEFAULT_REGION="$region" AWS_REGION="$region" AWS_PAGER=''
    local refusal hint=''
    refusal="$(mktemp)"
    caller="$(aws sts get-caller-identity --query '[Account,Arn]' --output text 2>"$refusal")" || {
        ! grep -q -e 'Signature expired' -e 'not yet current' -e RequestExpired "$refusal" || hint="; set this machine's clock"
        fail "cannot authenticate to AWS: $(tail -1 "$refusal")$hint"
    }
    rm -f "$refusal"
    account="${caller%%$'\t'*}"
    partition="${caller#*$'\t'arn:}" && partition="${partition%%:*}"
    # The name is also part of the names of buckets and secrets. Stack names have the strictest rules.
    [[ "$name" =~ ^[a-z][a-z0-9-]{1,30}$ ]] || fail "--name $name: use a letter a-z, then 1 to 30 of a-z, 0-9 and '-'"
    local excess=$((${#name} + ${#region} - 37))
    [ "$excess" -le 0 ] || fail "--name $name is $excess characters too long: the name of the bucket contains it"
}

# describe_stack: reads the stack into `stack`, which the functions below use
describe_stack() {
    local refusal
    refusal="$(mktemp)"
    stack="$(aws cloudformation describe-stacks --stack-name "$name" --output text --query "Stacks[0].[[['status',StackStatus]],
        Parameters[].['parameter',ParameterKey,ParameterValue], Outputs[].['output',OutputKey,OutputValue]][]" 2>"$refusal")" ||
        grep -q 'does not exist' "$refusal" || fail "cannot describe the stack $name: $(tail -1 "$refusal")"
    rm -f "$refusal"
}

# stack_status: prints the status of the stack, or `none`
stack_status() {
    local status
    status="$(field status)"
    echo "${status:-none}"
}

# output KEY: prints an output of the stack, or nothing
output() { field "output"$'\t'"$1"; }

# parameter KEY: prints a parameter of the stack (its first line), or nothing
parameter() { field "parameter"$'\t'"$1"; }

parameter_or() {
    local known
    known="$(parameter "$1")"
    echo "${known:-$2}"
}

field() { sed -n "s/^$1"$'\t'"//p" <<<"$stack"; }

# Anybody can create a bucket with a name that they can guess. Hosts would run its bundle, and CloudFormation its template
# with the rights of whoever runs setup.sh. So a name has a random part, only buckets of this account are looked for, and
# each request names the account as the owner.

# Sets `bucket`: the name of the stack's bucket, of an earlier run's, or else a new one.
find_bucket() {
    local ours
    ours="$(aws s3api list-buckets --query 'Buckets[].Name' --output text)" || fail "cannot list the account's buckets (see above)"
    ours="$(tr '\t' '\n' <<<"$ours")"
    bucket="$(grep -xF -- "$(parameter_or Bucket "none known")" <<<"$ours" ||
        grep -xE -m 1 "workmanager-$name-($account-$region|$region-[0-9a-f]{12})" <<<"$ours" ||
        echo "workmanager-$name-$region-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')")"
}

# s3api OPERATION OPTION...: a request that AWS refuses unless the bucket belongs to this account
s3api() { aws s3api "$1" --bucket "$bucket" --expected-bucket-owner "$account" "${@:2}"; }

bucket_exists() { s3api head-bucket >/dev/null 2>&1; }

# delete_bucket: with all versions of all objects
delete_bucket() {
    local versions
    versions="$(mktemp)"
    # shellcheck disable=SC2016  # JMESPath
    while s3api list-object-versions --max-items 500 --output json --query \
        '{Quiet: `true`, Objects: [Versions, DeleteMarkers][] | [?Key] | [].{Key: Key, VersionId: VersionId}}' >"$versions" &&
        grep -q VersionId "$versions"; do
        s3api delete-objects --delete "file://$versions" >/dev/null || break
    done
    rm -f "$versions"
    s3api delete-bucket
}

# console INSTANCE: prints what is on its console. Unless asked for the latest, EC2 tells what was there shortly after the
# instance started or ended: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
console() {
    local text
    text="$(aws ec2 get-console-output --latest --instance-id "$1" --query Output --output text 2>/dev/null || true)"
    if [ -z "$text" ] || [ "$text" = None ]; then
        text="$(aws ec2 get-console-output --instance-id "$1" --query Output --output text 2>/dev/null || true)"
    fi
    printf '%s\n' "$text"
}

# is_own_certificate ARN: whether setup.sh created it for this cluster
is_own_certificate() {
    aws acm list-tags-for-certificate --certificate-arn "$1" --query "Tags[?Key=='workmanager:cluster'].Value" \
        --output text 2>/dev/null | grep -x -e "$name" >/dev/null
}

secret_exists() { aws secretsmanager describe-secret --secret-id "$1" >/dev/null 2>&1; }

# put_secret ID FILE: sets the value from a file, since command lines are visible; an unchanged value is left alone
put_secret() {
    if secret_exists "$1"; then
        aws secretsmanager restore-secret --secret-id "$1" >/dev/null 2>&1 || true # if a person has scheduled its deletion
        if aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text 2>/dev/null |
            cmp -s - <(cat "$2" && echo); then
            return
        fi
        aws secretsmanager put-secret-value --secret-id "$1" --secret-string "file://$2" >/dev/null
    else
        create_secret "$1" "$2"
    fi
}

# A secret that was deleted without recovery keeps its name for a while:
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html (ForceDeleteWithoutRecovery)
create_secret() {
    local refusal deadline=$((SECONDS + 300))
    refusal="$(mktemp)"
    until aws secretsmanager create-secret --name "$1" --secret-string "file://$2" \
        --tags "Key=workmanager:cluster,Value=$name" >/dev/null 2>"$refusal"; do
        if ! grep -q 'scheduled for deletion' "$refusal" || [ "$SECONDS" -ge "$deadline" ]; then
            fail "cannot create the secret $1: $(tail -1 "$refusal")"
        fi
        sleep "$poll_seconds"
    done
    rm -f "$refusal"
}
