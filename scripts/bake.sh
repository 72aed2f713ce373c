#!/usr/bin/env bash
# shellcheck disable=SC2034,SC2154  # the files that it sources set and use its variables
# Makes an image (AMI) for hosts: Amazon Linux 2023 with Python and Valkey, so that a boot installs nothing. The program
# is not in it: hosts fetch that as always, and one image serves many versions. Prints the id, for setup.sh --image.
#
#   ./scripts/bake.sh [--name N] [--region R] [--architecture A] [--subnet S]
#
# --name           name of the cluster; its deployer's policy lets it end the instance (default: workmanager)
# --region         AWS region (default: that of aws-cli)
# --architecture   arm64 or x86_64, that of --worker-types (default: arm64)
# --subnet         subnet of the instance that is made into the image; it must reach the distribution's packages, which
#                  are in S3 (default: one of the default VPC)
#
# It starts one small instance, which installs the packages and stops, makes the image of it, and ends it: about ten
# minutes, and a cent. The image's snapshot costs 0.05 a month for each GiB, about 0.1 in all, until it is deleted:
#   aws ec2 deregister-image --image-id IMAGE --delete-associated-snapshots
set -euo pipefail

script=bake
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=scripts/_aws.sh
. "$root/scripts/_aws.sh"

name=workmanager region='' architecture=arm64 subnet=''
poll_seconds="${WORKMANAGER_POLL_SECONDS:-10}"
bake_seconds="${WORKMANAGER_BAKE_SECONDS:-900}"
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help) print_help && exit ;;
    --name | --region | --architecture | --subnet)
        [ $# -ge 2 ] || usage "$1 needs a value"
        printf -v "${1#--}" %s "$2"
        shift
        ;;
    --*=*) usage "${1%%=*}: give the value as the next argument, without =" ;;
    -*) usage "unknown option $1" ;;
    *) usage "unexpected argument $1" ;;
    esac
    shift
done
case "$architecture" in
arm64) type=t4g.small ;;
x86_64) type=t3.small ;;
*) usage "--architecture $architecture: give arm64 or x86_64" ;;
esac

main() {
    check_caller
    local base image
    base="$(aws ssm get-parameter --query Parameter.Value --output text \
        --name "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-$architecture")" ||
        fail "cannot find the image of Amazon Linux 2023 for $architecture in $region (see above)"
    launch "$base"
    trap end_instance EXIT
    wait_until_stopped
    say "making the image"
    image="$(aws ec2 create-image --instance-id "$instance" --query ImageId --output text \
        --name "workmanager-$architecture-$(date -u +%Y%m%d%H%M%S)" --description "$base with Python and Valkey" \
        --tag-specifications "ResourceType=image,Tags=[{Key=workmanager:base,Value=$base}]")"
    aws ec2 wait image-available --image-ids "$image" || fail "the image $image is not available (see above)"
    echo "$image"
}

# launch IMAGE: sets `instance`. A shutdown stops it, as its user data does in the end.
launch() {
    local place=()
    if [ -n "$subnet" ]; then
        place=(--subnet-id "$subnet")
    fi
    instance="$(aws ec2 run-instances --image-id "$1" --instance-type "$type" --count 1 ${place[@]+"${place[@]}"} \
        --user-data "file://$root/infra/userdata/image.sh" --instance-initiated-shutdown-behavior stop \
        --metadata-options HttpTokens=required --query 'Instances[0].InstanceId' --output text --tag-specifications \
        "ResourceType=instance,Tags=[{Key=Name,Value=$name image},{Key=workmanager:cluster,Value=$name},{Key=workmanager:role,Value=image}]")" ||
        fail "cannot start an instance (see above)"
    say "installing packages on $instance, of $1"
}

# The user data stops the instance when it has installed all. If it cannot, it says so on the console and goes on running.
wait_until_stopped() {
    local deadline=$((SECONDS + bake_seconds)) state printed=''
    while true; do
        state="$(aws ec2 describe-instances --instance-ids "$instance" --output text \
            --query 'Reservations[0].Instances[0].State.Name' 2>/dev/null || true)" # it can be unknown for some seconds
        case "$state" in
        stopped) return ;;
        shutting-down | terminated) fail "somebody has ended the instance $instance" ;;
        esac
        printed="$(console "$instance")"
        case "$printed" in *"event=image_bake step=failed"*) break ;; esac
        [ "$SECONDS" -lt "$deadline" ] || break
        sleep "$poll_seconds"
    done
    tail -n 20 <<<"$printed" >&2
    fail "the packages were not installed within $bake_seconds s; the end of the instance's console is above"
}

end_instance() {
    aws ec2 terminate-instances --instance-ids "$instance" >/dev/null || say "end the instance $instance by hand"
}

main
