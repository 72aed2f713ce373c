# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: chooses the hosts' image, instance types and zones.

default_workers=c7g.xlarge,c6g.xlarge,m7g.xlarge
amazon_linux=/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default

# Sets `architecture`, and adds image, zones and instance types to `changes`.
choose_hosts() {
    local types known manager witness
    known="$(parameter WorkerInstanceTypes)"
    types="${worker_types:-${known:-$default_workers}}"
    manager="${manager_type:-$(parameter ManagerInstanceType)}"
    describe_types "$types${manager:+,$manager}"
    read -r architecture cores < <(grep "^${types%%,*}"$'\t' "$private/types" | cut -f 2,3)
    if [ "$architecture" = arm64 ]; then
        manager="${manager:-m7g.large}" witness=t4g.micro
    else
        manager="${manager:-m7i.large}" witness=t3.micro
    fi
    if grep -qv $'\t'"$architecture"$'\t' "$private/types"; then
        fail "all hosts must have the same architecture, but these do not: $(cut -f 1,2 "$private/types" | paste -sd ' ' -)"
    fi
    describe_types "$types,$manager,$witness"
    check_disks "$manager"
    check_quotas "$types"
    changes+=("WorkerInstanceTypes=$types" "WorkerSlots=$cores" "Bucket=$bucket")
    changes+=("ManagerInstanceType=$manager" "WitnessInstanceType=$witness")
    if [ -n "$known" ] && [ "$types" != "$known" ]; then
        changes+=("PreviousWorkerTypes=$known") # which managers launch until they are replaced
    fi
    choose_image
    if [ -n "$subnets" ]; then
        choose_given_subnets
    elif [ -z "$(parameter Zones)" ]; then
        check_networks
        choose_zones "$manager" "$witness"
    fi
    check_network
}

# check_disks TYPE: a host finds its disk by the name that it has on types of the Nitro system:
# https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html
check_disks() {
    if [ -z "${redis_url:-$(parameter RedisUrl)}" ] && grep -q "^$1"$'\t.*\txen$' "$private/types"; then
        fail "--manager-type $1: give a type of the Nitro system, such as m7g.large or m7i.large"
    fi
}

# describe_types TYPE,...: writes a line for each to the file `types`: name, architecture, cores, hypervisor
describe_types() {
    local wanted
    IFS=, read -ra wanted <<<"$1"
    aws ec2 describe-instance-types --instance-types "${wanted[@]}" --output text --query \
        'InstanceTypes[].[InstanceType,ProcessorInfo.SupportedArchitectures[-1],VCpuInfo.DefaultVCpus,Hypervisor]' \
        >"$private/types" 2>"$private/refusal" || fail "unknown instance type in $region: $(tail -1 "$private/refusal")"
}

# The image of an existing cluster stays: another one would replace every host.
choose_image() {
    local known found chosen="$image"
    known="$(parameter ImageId)"
    if [ -n "$image" ]; then
        found="$(image_architecture "$image")"
        [ -n "$found" ] || fail "--image $image: there is no such image in $region, or it is not available"
        [ "$found" = "$architecture" ] || fail "--image $image: it is for $found, and the hosts' types are $architecture"
    elif is_live && [ "$upgrade_image" != yes ]; then
        found="$(image_architecture "$known")"
        case "$found" in
        "$architecture") return ;;
        '') fail "the hosts' image $known does not exist any more; give --upgrade-image, which replaces every host" ;;
        *) say "the hosts get another image, for $architecture instead of $found" ;;
        esac
    fi
    if [ -z "$chosen" ]; then
        chosen="$(aws ssm get-parameter --query Parameter.Value --output text --name "$amazon_linux-$architecture")" ||
            fail "cannot find the image of Amazon Linux 2023 for $architecture in $region (see above)"
    fi
    changes+=("ImageId=$chosen")
    if is_live && [ "$chosen" != "$known" ]; then
        changes+=("PreviousImageId=$known") # which managers launch until they are replaced
    fi
}

# image_architecture IMAGE: prints nothing if the image is not available
image_architecture() {
    aws ec2 describe-images --image-ids "$1" --output text --query "Images[?State=='available'] | [0].Architecture" \
        2>/dev/null | sed '/^None$/d' || true
}

# choose_zones TYPE...: three zones that have all of these types; not every zone has every type
choose_zones() {
    local type zones
    aws ec2 describe-availability-zones --filters Name=zone-type,Values=availability-zone Name=state,Values=available \
        --query 'AvailabilityZones[].[ZoneName]' --output text | sort >"$private/zones"
    for type in "$@"; do
        aws ec2 describe-instance-type-offerings --location-type availability-zone \
            --filters "Name=instance-type,Values=$type" --query 'InstanceTypeOfferings[].[Location]' --output text |
            sort | comm -12 - "$private/zones" >"$private/zones-of-all"
        mv "$private/zones-of-all" "$private/zones"
    done
    zones="$(head -n 3 "$private/zones" | paste -sd , -)"
    [ "$(tr -cd , <<<"$zones" | wc -c)" -eq 2 ] || fail "$region has fewer than three zones with $*: ${zones:-none}"
    changes+=("Zones=$zones")
}
