# shellcheck shell=bash
# shellcheck disable=SC2154  # `script` and `name` are of the script that sources this
# Sourced by setup.sh and teardown.sh: what the two say to AWS. Reads `script`, `name` and `region`; endpoint and
# credentials as aws-cli reads them.

say() { echo "$script: $*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

check_caller() {
    command -v aws >/dev/null || fail "aws-cli is missing: install it, and configure credentials"
    region="${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}}"
    [ -n "$region" ] || fail "no region: give --region, or set AWS_REGION"
    export AWS_DEFAULT_REGION="$region" AWS_REGION="$region" AWS_PAGER=''
    local refusal
    refusal="$(mktemp)"
    caller="$(aws sts get-caller-identity --query '[Account,Arn]' --output text 2>"$refusal")" ||
        fail "AWS does not know you: $(tail -1 "$refusal")"
    rm -f "$refusal"
    account="${caller%%$'\t'*}"
    # Stack names are the narrowest: they name buckets and secrets, too.
    [[ "$name" =~ ^[a-z][a-z0-9-]{1,30}$ ]] || fail "--name $name: use 2 to 31 letters a-z, digits, and '-'"
    bucket="workmanager-$name-$account-$region"
    [ "${#bucket}" -le 63 ] || fail "--name $name is too long by $((${#bucket} - 63)) characters for a bucket's name"
}

# look: at the stack, anew; what is asked of it below is as of then
look() {
    local refusal
    refusal="$(mktemp)"
    stack="$(aws cloudformation describe-stacks --stack-name "$name" --output text --query "Stacks[0].[[['status',StackStatus]],
        Parameters[].['parameter',ParameterKey,ParameterValue], Outputs[].['output',OutputKey,OutputValue]][]" 2>"$refusal")" ||
        grep -q 'does not exist' "$refusal" || fail "the stack $name cannot be looked at: $(tail -1 "$refusal")"
    rm -f "$refusal"
}

# stack_status: of the stack, or `none`
stack_status() {
    local status
    status="$(cut_out status)"
    echo "${status:-none}"
}

# output KEY: one of the stack's outputs, or nothing
output() { cut_out "output"$'\t'"$1"; }

# parameter KEY: one of the stack's parameters, or nothing; of several lines, the first
parameter() { cut_out "parameter"$'\t'"$1"; }

parameter_or() {
    local known
    known="$(parameter "$1")"
    echo "${known:-$2}"
}

cut_out() { sed -n "s/^$1"$'\t'"//p" <<<"$stack"; }

secret_exists() { aws secretsmanager describe-secret --secret-id "$1" >/dev/null 2>&1; }

# put_secret ID FILE: its value, from a file, so that it stands on no command line; the same value is no new version
put_secret() {
    if secret_exists "$1"; then
        if aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text 2>/dev/null |
            cmp -s - <(cat "$2" && echo); then
            return
        fi
        aws secretsmanager put-secret-value --secret-id "$1" --secret-string "file://$2" >/dev/null
    else
        aws secretsmanager create-secret --name "$1" --secret-string "file://$2" \
            --tags "Key=workmanager:cluster,Value=$name" >/dev/null
    fi
}

# What went wrong with the stack, oldest first; what CloudFormation cancelled because of it is left out. Which host said
# so stands in an event of its own.
print_failures() {
    aws cloudformation describe-stack-events --stack-name "$1" --output text --query \
        "reverse(StackEvents[?(contains(ResourceStatus, 'FAILED') || contains(ResourceStatusReason || '', 'FAILURE signal with')) &&
            Timestamp>='$2'].[LogicalResourceId,ResourceStatusReason])" |
        grep -v -e 'Resource .* cancelled' -e $'\tNone$' | while IFS=$'\t' read -r resource reason; do
        say "  $resource: $reason"
        _print_console "$(grep -oE 'i-[0-9a-f]{8,17}' <<<"$reason" | head -1)"
    done
}

# A host that says FAILURE has told why on its console, before that.
_print_console() {
    if [ -n "$1" ]; then
        { aws ec2 get-console-output --instance-id "$1" --query Output --output text 2>/dev/null || true; } |
            sed '/_boot step=failed/q' | tail -n 20 >&2
    fi
}
