# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: compares the account's quotas of networks and cores with what a cluster needs. EC2 counts the cores
# of the standard families (A, C, D, H, I, M, R, T, Z) together, by market:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html
# Other families have quotas of their own, which are not checked.

on_demand_quota=L-1216C47A
spot_quota=L-34B43A08
# That of internet gateways follows it: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
network_quota=L-F678F1CE

# check_networks: whether the account can have one more
check_networks() {
    local quota used
    quota="$(quota_of "$network_quota" vpc)"
    used="$(aws ec2 describe-vpcs --query 'length(Vpcs)' --output text)"
    [ -z "$quota" ] || [ "$used" -lt "${quota%.*}" ] ||
        fail "the cluster's network is one more VPC, and the quota $network_quota in $region allows ${quota%.*};" \
            "give --subnets of an existing one, or $(request "$network_quota" 1 vpc)"
}

# check_quotas TYPE,...: the workers' types. Refuses what cannot start. If nobody chose the managers' type and there are
# too few cores for it, chooses a smaller one. Uses and sets `manager`, and uses `witness`.
check_quotas() {
    local free spot needed small
    free="$(free_cores "$on_demand_quota" on-demand)" spot="$(free_cores "$spot_quota" spot)"
    needed="$(hosts_cores)"
    if [ -n "$free" ] && [ "$needed" -gt "$free" ]; then
        small=m7g.medium # one core; x86 has no such type
        if [ "$architecture" = arm64 ] && [ -z "$manager_type" ] && ! is_live && [ $((needed - 2)) -le "$free" ]; then
            say "the quota of on-demand cores has $free free, so managers are $small instead of $manager;" \
                "once it is raised: --manager-type $manager"
            manager="$small"
            describe_types "$1,$manager,$witness"
            needed=$((needed - 2))
        else
            lacks_cores "$on_demand_quota" "on-demand" "$free" "the hosts need $needed" "$needed"
        fi
    fi
    check_workers "$1" "${free:+$((free - needed))}" "$spot"
}

# check_workers TYPE,... FREE SPOT: cores that are free on demand, without the hosts', and as spot; empty if not known
check_workers() {
    local smallest most
    if [ -z "$2" ] || [ -z "$3" ] || grep -v -E '^([acdhimrtz]|im|is)[0-9]' <<<"${1//,/$'\n'}" >/dev/null; then
        return
    fi
    smallest="$(grep -F -e "${1//,/$'\n'}" "$private/types" | cut -f 3 | sort -n | sed -n 1p)"
    [ "$3" -ge "$smallest" ] || [ "$2" -ge "$smallest" ] || is_live ||
        lacks_cores "$spot_quota" spot "$3" "one worker needs $smallest" "$((smallest * ${max_workers:-$(parameter_or MaxWorkers 20)}))"
    most="${max_workers:-$(parameter_or MaxWorkers 20)}"
    if [ "$3" -lt $((most * smallest)) ] && ! is_live; then
        say "note: the quota $spot_quota has $3 cores free for spot instances, enough for $(($3 / smallest)) of $most workers;" \
            "$(request "$spot_quota" $((most * smallest)))"
    fi
}

# hosts_cores: prints how many cores the managers and the witness need that they do not have yet
hosts_cores() {
    local hosts="$manager $manager"
    [ -n "${redis_url:-$(parameter RedisUrl)}" ] || hosts="$hosts $witness"
    if is_live; then
        echo 0 # they have theirs, and are replaced one after the other
        return
    fi
    local host
    for host in $hosts; do
        case "$host" in
        [acdhimrtz][0-9]* | i[ms][0-9]*) cores_of "$host" ;;
        esac
    done | awk '{ sum += $1 } END { print sum + 0 }'
}

cores_of() { awk -v name="$1" '$1 == name { print $3 }' "$private/types"; }

# free_cores QUOTA MARKET: prints the cores that the quota leaves, or nothing if the caller may not ask for it
free_cores() {
    local quota used
    quota="$(quota_of "$1" ec2)"
    [ -n "$quota" ] || return 0
    used="$(aws ec2 describe-instances --filters Name=instance-state-name,Values=pending,running --output text --query \
        'Reservations[].Instances[].[InstanceType, InstanceLifecycle, CpuOptions.CoreCount, CpuOptions.ThreadsPerCore]' |
        awk -v market="$2" '$1 ~ /^([acdhimrtz]|im|is)[0-9]/ && ($2 == "spot") == (market == "spot") { sum += $3 * $4 }
            END { print sum + 0 }')"
    awk -v quota="$quota" -v used="$used" 'BEGIN { print int(quota - used) }'
}

# lacks_cores QUOTA MARKET FREE REASON WANTED
lacks_cores() {
    fail "$4 $2 cores, and the quota $1 in $region has $3 free; $(request "$1" "$5")"
}

# quota_of QUOTA SERVICE: prints its value, or nothing if the caller may not ask for it. Of some quotas that nobody has
# raised, only the default is known:
# https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
quota_of() {
    local how=(--service-code "$2" --quota-code "$1" --query Quota.Value --output text)
    aws service-quotas get-service-quota "${how[@]}" 2>"$private/refusal" || {
        # After any other refusal, a default could be less than the account has.
        grep -q NoSuchResourceException "$private/refusal" &&
            aws service-quotas get-aws-default-service-quota "${how[@]}" 2>/dev/null
    } || true
}

# request QUOTA MORE [SERVICE]: how to ask AWS for so many more
request() {
    local service="${3:-ec2}" value
    value="$(awk -v value="$(quota_of "$1" "$service")" -v more="$2" 'BEGIN { print int(value + more) }')"
    echo "request more: aws service-quotas request-service-quota-increase --region $region --service-code $service" \
        "--quota-code $1 --desired-value $value"
}
