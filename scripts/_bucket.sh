# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: the bucket, and what hosts and CloudFormation read from it.

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

# upload FILE KEY: unless it exists; keys contain the hash of the content
upload() {
    uploaded "$2" || aws s3 cp --only-show-errors "$1" "s3://$bucket/$2"
}

uploaded() { aws s3api head-object --bucket "$bucket" --key "$1" >/dev/null 2>&1; }

# digest: prints the SHA-256 of standard input
digest() { "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }
