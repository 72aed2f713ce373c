# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets the options and `changes`
# Sourced by setup.sh: chooses the hosts' image, instance types and zones.

# Sets `architecture`, and adds image, zones and instance types to `changes`.
choose_hosts() {
    local types known image manager witness
    known="$(parameter WorkerInstanceTypes)"
    types="${worker_types:-${known:-c7g.xlarge,c6g.xlarge,m7g.xlarge}}"
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
    image="$(aws ssm get-parameter --query Parameter.Value --output text \
        --name "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-$architecture")" ||
        fail "cannot find the image of Amazon Linux 2023 for $architecture in $region (see above)"
    changes+=("ImageId=$image" "WorkerInstanceTypes=$types" "WorkerSlots=$cores" "Bucket=$bucket")
    changes+=("ManagerInstanceType=$manager" "WitnessInstanceType=$witness")
    if [ -n "$subnets" ]; then
        choose_given_subnets
    elif [ -z "$(parameter Zones)" ]; then
        choose_zones "$manager" "$witness"
    fi
}

# describe_types TYPE,...: writes a line for each to the file `types`: name, architecture, cores
describe_types() {
    local wanted
    IFS=, read -ra wanted <<<"$1"
    aws ec2 describe-instance-types --instance-types "${wanted[@]}" --output text --query \
        'InstanceTypes[].[InstanceType,ProcessorInfo.SupportedArchitectures[-1],VCpuInfo.DefaultVCpus]' \
        >"$private/types" 2>"$private/refusal" || fail "unknown instance type in $region: $(tail -1 "$private/refusal")"
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
    [ "$(tr -cd , <<<"$zones" | wc -c)" = 2 ] || fail "$region has fewer than three zones with $*: ${zones:-none}"
    changes+=("Zones=$zones")
}

choose_given_subnets() {
    local subnet found zones='' vpc=''
    for subnet in ${subnets//,/ }; do
        found="$(aws ec2 describe-subnets --subnet-ids "$subnet" --output text \
            --query 'Subnets[0].[AvailabilityZone,VpcId]' 2>/dev/null)" || fail "--subnets: $region has no $subnet"
        zones+="${zones:+,}${found%%$'\t'*}"
        if [ -n "$vpc" ] && [ "$vpc" != "${found#*$'\t'}" ]; then
            fail "--subnets: $subnet is in another VPC than the subnets before it"
        fi
        vpc="${found#*$'\t'}"
    done
    [ "$(tr , '\n' <<<"$zones" | sort -u | wc -l)" = 3 ] || fail "--subnets: give three subnets in three different zones"
    changes+=("VpcId=$vpc" "SubnetIds=$subnets" "Zones=$zones")
}
