# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: the bucket, and what hosts and CloudFormation read from it.

make_bucket() {
    if bucket_exists; then
        keep_versions
        return
    fi
    say "creating the bucket $bucket"
    local place=()
    if [ "$region" != us-east-1 ]; then
        place=(--create-bucket-configuration "LocationConstraint=$region")
    fi
    aws s3api create-bucket --bucket "$bucket" ${place[@]+"${place[@]}"} >/dev/null
    s3api put-public-access-block --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    s3api put-bucket-tagging --tagging "TagSet=[{Key=workmanager:cluster,Value=$name}]"
    keep_versions
}

# Backups are thinned out: hourly ones stay for two days, daily ones for thirty. A host can write into the bucket, but
# not take away what is there: an object that is written again keeps its former version for some days. The bucket has
# versions, so an object that expires becomes such a former version first.
keep_versions() {
    s3api put-bucket-versioning --versioning-configuration Status=Enabled
    s3api put-bucket-lifecycle-configuration --lifecycle-configuration '{"Rules": [
        {"ID": "hourly", "Status": "Enabled", "Filter": {"Prefix": "backup/hourly/"}, "Expiration": {"Days": 2},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 2}},
        {"ID": "backups", "Status": "Enabled", "Filter": {"Prefix": "backup/"}, "Expiration": {"Days": 30},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7}},
        {"ID": "versions", "Status": "Enabled", "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}]}' >/dev/null
}

# upload FILE KEY: also if there is such an object, which somebody could have changed
upload() { s3api put-object --key "$2" --body "$1" >/dev/null; }

uploaded() { s3api head-object --key "$1" >/dev/null 2>&1; }

# digest: prints the SHA-256 of standard input
digest() { "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }
