# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh and teardown.sh: a KMS key of one's own for the disks. If an account's default key for disks is
# its own, hosts get that one. A host of an Auto Scaling group, and a spot instance, start only if the service's role may
# use the key:
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
# `aws kms create-grant` gives them that right, as the first page does for keys of other accounts.

grant_operations="Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext DescribeKey
    CreateGrant"

# Sets `key`, the ARN of the disks' key; empty if it is Amazon's, which everybody in the account may use.
choose_key() {
    local state
    key="${kms_key:-$(parameter KmsKey)}"
    if [ -z "$key" ] && ! is_live; then
        key="$(aws ec2 get-ebs-default-kms-key-id --query KmsKeyId --output text)" || fail "cannot read the default key of disks"
        case "$key" in
        alias/aws/ebs | '' | None) key='' ;;
        *)
            key="$(aws kms describe-key --key-id "$key" --query 'KeyMetadata.[KeyManager,Arn]' --output text 2>/dev/null)" ||
                fail "the account's disks get the key $key by default, which you cannot describe; give --kms-key ARN"
            if [ "${key%%$'\t'*}" = AWS ]; then key=''; else key="${key#*$'\t'}"; fi
            ;;
        esac
    fi
    if [ -z "$key" ]; then
        return
    fi
    state="$(aws kms describe-key --key-id "$key" --query KeyMetadata.KeyState --output text 2>/dev/null)" ||
        fail "--kms-key: $region has no key $key, or you cannot describe it"
    [ "$state" = Enabled ] || fail "--kms-key: $key is $state, not Enabled"
    change KmsKey "$key"
}

# Lets Auto Scaling and spot instances use the key. A grant that exists is not made again.
grant_key() {
    local service role
    if [ -z "$key" ]; then
        return
    fi
    for service in autoscaling spot; do
        aws iam create-service-linked-role --aws-service-name "$service.amazonaws.com" >/dev/null 2>&1 || true # it exists
    done
    for role in autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling spot.amazonaws.com/AWSServiceRoleForEC2Spot; do
        # shellcheck disable=SC2086  # a list of words
        aws kms create-grant --key-id "$key" --name "workmanager-$name" --operations $grant_operations \
            --grantee-principal "arn:$partition:iam::$account:role/aws-service-role/$role" >/dev/null ||
            fail "--kms-key: ${role#*/} cannot get the right to use $key (see above)"
    done
}

# grants: prints the ids of this cluster's grants
grants() {
    aws kms list-grants --key-id "$key" --query "Grants[?Name=='workmanager-$name'].GrantId" --output text
}
