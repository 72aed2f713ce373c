# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets the options, `root`, `python` and `private`
# Sourced by setup.sh: certificates, and the secrets that the stack does not create itself.

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
    if [ -n "$arn" ] && is_own_certificate "$arn"; then
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
