# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets the options, `root`, `python` and `private`
# Sourced by setup.sh: creates what the stack needs, then the stack.

make_bucket() {
    if bucket_exists; then
        return
    fi
    say "creating the bucket $bucket"
    local place=()
    if [ "$region" != us-east-1 ]; then
        place=(--create-bucket-configuration "LocationConstraint=$region")
    fi
    aws s3api create-bucket --bucket "$bucket" "${place[@]}" >/dev/null
    aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    aws s3api put-bucket-tagging --bucket "$bucket" --tagging "TagSet=[{Key=workmanager:cluster,Value=$name}]"
    aws s3api put-bucket-lifecycle-configuration --bucket "$bucket" --lifecycle-configuration \
        '{"Rules":[{"ID":"backups","Status":"Enabled","Filter":{"Prefix":"backup/"},"Expiration":{"Days":30}}]}' >/dev/null
}

bucket_exists() { aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; }

# Sets `bundle`, its `sha256`, and `template_key`, the template's name in the bucket.
build_bundle() {
    local flags=(--architecture "$architecture" --output "$private")
    if [ -n "$app" ]; then
        flags+=(--app "$(cd "$app" && pwd)")
    fi
    say "building the bundle for $architecture"
    bundle="$(cd "$root" && "$python" -m infra.bundle "${flags[@]}" "${settings[@]}")" || fail "cannot build the bundle (see above)"
    sha256="$(basename "$bundle" .tar.gz)"
    changes+=("BundleSha256=$sha256")
    (cd "$root" && "$python" -m infra.template) >"$private/template.yaml"
    template_key="template/$(digest <"$private/template.yaml").yaml"
}

# upload FILE KEY: unless it exists; keys contain the hash of the content
upload() {
    uploaded "$2" || aws s3 cp --only-show-errors "$1" "s3://$bucket/$2"
}

uploaded() { aws s3api head-object --bucket "$bucket" --key "$1" >/dev/null 2>&1; }

# digest: prints the SHA-256 of standard input
digest() { "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

# Keeps the authority, and renews its certificates before they expire. Sets `authority_file`.
make_certificates() {
    authority_file="${XDG_CONFIG_HOME:-$HOME/.config}/workmanager/$name-$region-ca.pem"
    local known balancer="$certificate_arn" stale=yes
    known="$(own_certificate)"
    if [ -z "$known" ]; then
        balancer="${balancer:-$(parameter CertificateArn)}" # the operator's own, given before
    fi
    if secret_exists "$name/authority"; then
        secret_to "$name/authority" "$private/authority.pem"
        secret_to "$name/store-tls" "$private/store.pem"
        if ! certify --stale "$private/store.pem" --directory "$private"; then
            stale=no
            balancer="${balancer:-$known}"
        fi
    fi
    if [ "$stale" = yes ] || [ -z "$balancer" ]; then
        say "creating certificates"
        certify --name "$name" --region "$region" --directory "$private" || fail "cannot create the certificates (see above)"
        put_secret "$name/authority" "$private/authority.pem"
        put_secret "$name/store-tls" "$private/store.pem"
        if [ -z "$balancer" ]; then
            balancer="$(import_certificate "$known")"
        fi
    fi
    sed -n '/BEGIN CERT/,/END CERT/p' "$private/authority.pem" >"$private/ca.pem"
    mkdir -p "$(dirname "$authority_file")"
    cp "$private/ca.pem" "$authority_file"
    changes+=("CertificateArn=$balancer" "CaCertificate=@$private/ca.pem")
    changes+=("StoreTlsSecret=$(aws secretsmanager describe-secret --secret-id "$name/store-tls" --query ARN --output text)")
}

certify() { (cd "$root" && "$python" -m infra.certificates "$@"); }

secret_to() {
    aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text >"$2" ||
        fail "cannot read the secret $1 (see above)"
}

# own_certificate: prints the ARN of the load balancer's certificate if setup.sh created it
own_certificate() {
    local arn
    arn="$(parameter CertificateArn)"
    if [ -n "$arn" ] && aws acm list-tags-for-certificate --certificate-arn "$arn" --output text 2>/dev/null |
        grep -q "workmanager:cluster.*$name"; then
        echo "$arn"
    fi
}

import_certificate() {
    local into=(--tags "Key=workmanager:cluster,Value=$name")
    if [ -n "$1" ]; then
        into=(--certificate-arn "$1")
    fi
    aws acm import-certificate --certificate "fileb://$private/balancer.pem" --private-key "fileb://$private/balancer.key" \
        --certificate-chain "fileb://$private/issuer.pem" "${into[@]}" --query CertificateArn --output text
}

make_redis_secret() {
    if [[ "$redis_url" = *:PASSWORD@* ]]; then
        if [ -n "${WORKMANAGER_REDIS_PASSWORD:-}" ]; then
            (umask 077 && printf %s "$WORKMANAGER_REDIS_PASSWORD" >"$private/redis-password")
            put_secret "$name/redis-password" "$private/redis-password"
        fi
        changes+=("RedisSecret=$(aws secretsmanager describe-secret --secret-id "$name/redis-password" --query ARN --output text)")
    fi
}

# A stack whose creation failed can only be deleted.
clear_failed_stack() {
    case "$(stack_status)" in
    ROLLBACK_COMPLETE | ROLLBACK_FAILED | REVIEW_IN_PROGRESS | CREATE_FAILED)
        aws cloudformation delete-stack --stack-name "$name"
        aws cloudformation wait stack-delete-complete --stack-name "$name"
        describe_stack
        ;;
    esac
}

# Creates the change set `change_set` of the type `kind`; fails if nothing would change.
make_change_set() {
    local reason
    kind=UPDATE
    clear_failed_stack
    if [ "$(stack_status)" = none ]; then
        kind=CREATE
    fi
    # The first versions do not matter: the stack creates most secrets itself.
    changes+=("SecretVersions=$(if [ "$kind" = UPDATE ]; then secret_versions; else echo first; fi)")
    echo '[]' >"$private/previous.json"
    if [ "$kind" = UPDATE ]; then
        aws cloudformation describe-stacks --stack-name "$name" --query 'Stacks[0].Parameters' --output json \
            >"$private/previous.json" || fail "cannot read the stack's parameters (see above)"
    fi
    (cd "$root" && "$python" -m infra.parameters --previous "$private/previous.json" "${changes[@]}") \
        >"$private/parameters.json" || fail "cannot prepare the stack's parameters (see above)"
    change_set="$name-$(date -u +%Y%m%d%H%M%S)"
    aws cloudformation create-change-set --stack-name "$name" --change-set-name "$change_set" --change-set-type "$kind" \
        --template-url "https://$bucket.s3.$region.amazonaws.com/$template_key" --capabilities CAPABILITY_IAM \
        --parameters "file://$private/parameters.json" --tags "Key=workmanager:cluster,Value=$name" >/dev/null ||
        fail "CloudFormation does not accept a change of the stack $name now (see above)"
    if aws cloudformation wait change-set-create-complete --stack-name "$name" --change-set-name "$change_set" 2>/dev/null; then
        return 0
    fi
    reason="$(aws cloudformation describe-change-set --stack-name "$name" --change-set-name "$change_set" \
        --query StatusReason --output text)"
    aws cloudformation delete-change-set --stack-name "$name" --change-set-name "$change_set"
    case "$reason" in
    *"didn't contain changes"* | *"No updates"*) return 1 ;;
    esac
    fail "CloudFormation rejects the template: $reason"
}

# secret_versions: prints a word that changes when a secret's value is replaced, so that hosts are replaced, too.
secret_versions() {
    local secret versions=''
    for secret in api-keys store/{manager,worker,replica,administrator,operator} store-tls redis-password; do
        versions+="$(aws secretsmanager describe-secret --secret-id "$name/$secret" --query VersionIdsToStages \
            --output json 2>/dev/null | tr -d ' \n' || true)"
    done
    if grep -q -e AWSPREVIOUS -e AWSPENDING <<<"$versions"; then
        digest <<<"$versions"
    else
        echo first
    fi
}

# Shows what would change. What CloudFormation needs for that is deleted afterwards.
show_plan() {
    local status certificate="$certificate_arn"
    status="$(stack_status)"
    case "$status" in
    none | REVIEW_IN_PROGRESS) certificate="${certificate:-arn:aws:acm:$region:$account:certificate/new}" ;;
    ROLLBACK_* | CREATE_FAILED) fail "the stack is $status; run setup.sh without --plan, which deletes and recreates it" ;;
    esac
    change CertificateArn "$certificate"
    if [[ "$redis_url" = *:PASSWORD@* ]] && [ -z "$(parameter RedisSecret)" ]; then
        change RedisSecret "arn:aws:secretsmanager:$region:$account:secret:$name/redis-password-new"
    fi
    trap 'forget_plan; rm -rf "$private"' EXIT
    if ! bucket_exists; then
        make_bucket
        forget_bucket=yes
    elif ! uploaded "$template_key"; then
        forget_template=yes
    fi
    upload "$private/template.yaml" "$template_key"
    if ! make_change_set; then
        say "nothing would change"
        return
    fi
    aws cloudformation describe-change-set --stack-name "$name" --change-set-name "$change_set" --output text --query \
        'Changes[].ResourceChange.[Action,LogicalResourceId,ResourceType,Replacement]' | sort |
        while read -r action resource type replaced; do
            printf '%-8s %-28s %-44s %s\n' "$action" "$resource" "$type" "${replaced/None/}"
        done
}

forget_plan() {
    if [ -n "${change_set:-}" ]; then
        aws cloudformation delete-change-set --stack-name "$name" --change-set-name "$change_set" 2>/dev/null || true
    fi
    describe_stack
    if [ "$(stack_status)" = REVIEW_IN_PROGRESS ]; then
        aws cloudformation delete-stack --stack-name "$name"
    fi
    if [ "${forget_bucket:-}" = yes ]; then
        aws s3 rb --force "s3://$bucket" >/dev/null
    elif [ "${forget_template:-}" = yes ]; then
        aws s3 rm --only-show-errors "s3://$bucket/$template_key"
    fi
}

deploy() {
    if ! make_change_set; then
        say "the stack is up to date"
        return
    fi
    local operation started_at
    operation="$(tr '[:upper:]' '[:lower:]' <<<"$kind")"
    started_at="$(date -u +%Y-%m-%dT%H:%M:%S)"
    say "deploying; a new stack takes about ten minutes, each replaced host a few more"
    aws cloudformation execute-change-set --stack-name "$name" --change-set-name "$change_set"
    if ! aws cloudformation wait "stack-$operation-complete" --stack-name "$name"; then
        describe_stack
        say "the deployment failed and was rolled back ($(stack_status)), because of"
        print_failures "$name" "$started_at"
        exit 1
    fi
    describe_stack
    say "the stack is $(stack_status)"
}
