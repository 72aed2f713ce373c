# shellcheck shell=bash
# shellcheck disable=SC2154  # the options, `root`, `python` and `private` are setup.sh's
# Sourced by setup.sh: makes what the stack needs beforehand, and the stack.

make_bucket() {
    if aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
        return
    fi
    say "making the bucket $bucket"
    local place=()
    if [ "$region" != us-east-1 ]; then
        place=(--create-bucket-configuration "LocationConstraint=$region")
    fi
    aws s3api create-bucket --bucket "$bucket" "${place[@]}" >/dev/null
    aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    aws s3api put-bucket-tagging --bucket "$bucket" --tagging "TagSet=[{Key=workmanager:cluster,Value=$name}]"
    aws s3api put-bucket-lifecycle-configuration --bucket "$bucket" --lifecycle-configuration \
        '{"Rules":[{"ID":"backups","Status":"Enabled","Filter":{"Prefix":"backup/"},"Expiration":{"Days":30}}]}'
}

# Sets `architecture`, and asks for the image, zones and types of hosts.
choose_hosts() {
    local types known image zones
    known="$(parameter WorkerInstanceTypes)"
    types="${worker_types:-${known:-c7g.xlarge,c6g.xlarge,m7g.xlarge}}"
    read -r architecture cores < <(aws ec2 describe-instance-types --instance-types "${types%%,*}" --output text \
        --query 'InstanceTypes[0].[ProcessorInfo.SupportedArchitectures[-1],VCpuInfo.DefaultVCpus]')
    image="$(aws ssm get-parameter --query Parameter.Value --output text \
        --name "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-$architecture")"
    changes+=("ImageId=$image" "WorkerInstanceTypes=$types" "WorkerSlots=$cores" "Bucket=$bucket")
    if [ "$architecture" = arm64 ]; then
        changes+=("ManagerInstanceType=${manager_type:-$(parameter_or ManagerInstanceType m7g.large)}")
        changes+=("WitnessInstanceType=t4g.micro")
    else
        changes+=("ManagerInstanceType=${manager_type:-$(parameter_or ManagerInstanceType m7i.large)}")
        changes+=("WitnessInstanceType=t3.micro")
    fi
    if [ -n "$subnets" ]; then
        choose_given_subnets
    elif [ -z "$(parameter Zones)" ]; then
        zones="$(aws ec2 describe-availability-zones --filters Name=zone-type,Values=availability-zone \
            Name=state,Values=available --query 'AvailabilityZones[:3].ZoneName' --output text | tr '\t' ,)"
        [ "$(tr -cd , <<<"$zones" | wc -c)" = 2 ] || fail "$region has fewer than three zones for you: $zones"
        changes+=("Zones=$zones")
    fi
}

parameter_or() {
    local known
    known="$(parameter "$1")"
    echo "${known:-$2}"
}

choose_given_subnets() {
    local subnet found zones='' vpc=''
    for subnet in ${subnets//,/ }; do
        found="$(aws ec2 describe-subnets --subnet-ids "$subnet" --output text \
            --query 'Subnets[0].[AvailabilityZone,VpcId]')" || fail "--subnets: there is no $subnet"
        zones+="${zones:+,}${found%%$'\t'*}"
        if [ -n "$vpc" ] && [ "$vpc" != "${found#*$'\t'}" ]; then
            fail "--subnets: $subnet is of another VPC than the ones before it"
        fi
        vpc="${found#*$'\t'}"
    done
    [ "$(tr , '\n' <<<"$zones" | sort -u | wc -l)" = 3 ] || fail "--subnets: three in three zones are needed"
    changes+=("VpcId=$vpc" "SubnetIds=$subnets" "Zones=$zones")
}

upload_bundle() {
    local bundle flags=(--architecture "$architecture" --output "$private")
    if [ -n "$app" ]; then
        flags+=(--app "$(cd "$app" 2>/dev/null && pwd)") || fail "--app $app is no directory"
    fi
    say "building the bundle for $architecture"
    bundle="$(cd "$root" && "$python" -m infra.bundle "${flags[@]}" "${settings[@]}")" || fail "there is no bundle"
    sha256="$(basename "$bundle" .tar.gz)"
    changes+=("BundleSha256=$sha256")
    upload "$bundle" "bundle/$sha256.tar.gz"
    (cd "$root" && "$python" -m infra.template) >"$private/template.yaml"
    template_key="template/$(digest <"$private/template.yaml").yaml"
    upload "$private/template.yaml" "$template_key"
}

# upload FILE KEY: unless it is there; keys tell contents
upload() {
    aws s3api head-object --bucket "$bucket" --key "$2" >/dev/null 2>&1 ||
        aws s3 cp --only-show-errors "$1" "s3://$bucket/$2"
}

# digest: of standard input, SHA-256
digest() { "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

# The authority stays; what it signs is made anew in good time before it ends. Sets `authority_file`.
make_certificates() {
    authority_file="${XDG_CONFIG_HOME:-$HOME/.config}/workmanager/$name-$region-ca.pem"
    local known balancer="$certificate_arn"
    known="$(own_certificate)"
    if secret_exists "$name/authority"; then
        secret_to "$name/authority" "$private/authority.pem"
        secret_to "$name/store-tls" "$private/store.pem"
        if ! certify --expiring "$private/store.pem"; then
            balancer="${balancer:-$(parameter CertificateArn)}"
        fi
    fi
    if [ ! -s "$private/store.pem" ] || [ -z "$balancer" ]; then
        say "making certificates"
        certify --name "$name" --region "$region" --directory "$private"
        put_secret "$name/authority" "$private/authority.pem"
        put_secret "$name/store-tls" "$private/store.pem"
        if [ -z "$certificate_arn" ]; then
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
        fail "the secret $1 cannot be read"
}

# own_certificate: the ARN of the load balancer's certificate where setup.sh made it
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
        --certificate-chain "fileb://$private/ca.pem" "${into[@]}" --query CertificateArn --output text
}

make_redis_secret() {
    if [ -z "$redis_url" ]; then
        return
    fi
    [[ "$redis_url" =~ ^rediss?://(([^:@/]*:PASSWORD)?@)?[^@]+$ ]] ||
        fail "--redis-url: redis[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...], with the very word PASSWORD"
    changes+=("RedisUrl=$redis_url")
    if [[ "$redis_url" = *:PASSWORD@* ]]; then
        if [ -n "${WORKMANAGER_REDIS_PASSWORD:-}" ]; then
            (umask 077 && printf %s "$WORKMANAGER_REDIS_PASSWORD" >"$private/redis-password")
            put_secret "$name/redis-password" "$private/redis-password"
        fi
        secret_exists "$name/redis-password" || fail "--redis-url: set WORKMANAGER_REDIS_PASSWORD to the password"
        changes+=("RedisSecret=$(aws secretsmanager describe-secret --secret-id "$name/redis-password" --query ARN --output text)")
    fi
}

# A stack that could not even be made can only be deleted.
clear_failed_stack() {
    case "$(stack_status)" in
    ROLLBACK_COMPLETE | ROLLBACK_FAILED | REVIEW_IN_PROGRESS | CREATE_FAILED)
        aws cloudformation delete-stack --stack-name "$name"
        aws cloudformation wait stack-delete-complete --stack-name "$name"
        ;;
    esac
}

# Makes the change set `change_set`; false where nothing would change.
make_change_set() {
    local kind=UPDATE reason
    clear_failed_stack
    if [ "$(stack_status)" = none ]; then
        kind=CREATE
    fi
    # The first values count for nothing: the stack makes most of them itself.
    changes+=("SecretVersions=$(if [ "$kind" = UPDATE ]; then secret_versions; else echo first; fi)")
    (cd "$root" && "$python" -m infra.parameters --previous <(previous_parameters) "${changes[@]}") >"$private/parameters.json"
    change_set="$name-$(date -u +%Y%m%d%H%M%S)"
    aws cloudformation create-change-set --stack-name "$name" --change-set-name "$change_set" --change-set-type "$kind" \
        --template-url "https://$bucket.s3.$region.amazonaws.com/$template_key" --capabilities CAPABILITY_IAM \
        --parameters "file://$private/parameters.json" --tags "Key=workmanager:cluster,Value=$name" >/dev/null
    if aws cloudformation wait change-set-create-complete --stack-name "$name" --change-set-name "$change_set" 2>/dev/null; then
        return 0
    fi
    reason="$(aws cloudformation describe-change-set --stack-name "$name" --change-set-name "$change_set" \
        --query StatusReason --output text)"
    aws cloudformation delete-change-set --stack-name "$name" --change-set-name "$change_set"
    case "$reason" in
    *"didn't contain changes"* | *"No updates"*) return 1 ;;
    esac
    fail "CloudFormation refuses the template: $reason"
}

# A word for the values that the secrets have, which changes when one is replaced: hosts then boot anew with it.
secret_versions() {
    local secret versions=''
    for secret in api-keys store/manager store/worker store/replica store/administrator store/operator store-tls; do
        if secret_exists "$name/$secret"; then
            versions+="$(aws secretsmanager list-secret-version-ids --secret-id "$name/$secret" --output text --query \
                "Versions[?VersionStages].[VersionId,join(',',VersionStages)]" | sort)"
        fi
    done
    if grep -q -e AWSPREVIOUS -e AWSPENDING <<<"$versions"; then
        digest <<<"$versions"
    else
        echo first
    fi
}

previous_parameters() {
    aws cloudformation describe-stacks --stack-name "$name" --query 'Stacks[0].Parameters' --output json 2>/dev/null ||
        echo '[]'
}

show_plan() {
    if [ "$(stack_status)" = none ]; then
        # Made only when it is needed; any name will do to see what would be.
        changes+=("CertificateArn=arn:aws:acm:$region:$account:certificate/new")
    fi
    if ! make_change_set; then
        say "nothing would change"
        return
    fi
    aws cloudformation describe-change-set --stack-name "$name" --change-set-name "$change_set" --output text --query \
        'Changes[].ResourceChange.[Action,LogicalResourceId,ResourceType,Replacement]' | sort | while read -r action resource kind replaced; do
        printf '%-8s %-28s %-44s %s\n' "$action" "$resource" "$kind" "${replaced/None/}"
    done
    aws cloudformation delete-change-set --stack-name "$name" --change-set-name "$change_set"
    if [ "$(stack_status)" = REVIEW_IN_PROGRESS ]; then
        aws cloudformation delete-stack --stack-name "$name"
    fi
}

deploy() {
    if ! make_change_set; then
        say "the stack is as it should be"
        return
    fi
    local what=create began
    [ "$(stack_status)" = REVIEW_IN_PROGRESS ] || what=update
    began="$(date -u +%Y-%m-%dT%H:%M:%S)"
    say "deploying: a new stack takes about ten minutes, and each host that is replaced some more"
    aws cloudformation execute-change-set --stack-name "$name" --change-set-name "$change_set"
    if ! aws cloudformation wait "stack-$what-complete" --stack-name "$name"; then
        say "the stack could not be made so, and is being put back as it was, because of"
        print_failures "$name" "$began"
        exit 1
    fi
    say "the stack is $(stack_status)"
}
