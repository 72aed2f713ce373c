# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: checks given subnets: of one VPC, in three zones, with routes and addresses (infra/network.py).

# Adds the parameters for --subnets to `changes`.
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
    [ "$(tr , '\n' <<<"$zones" | sort -u | wc -l)" -eq 3 ] || fail "--subnets: give three subnets in three different zones"
    changes+=("VpcId=$vpc" "SubnetIds=$subnets" "Zones=$zones")
}

# Checks the subnets of hosts and load balancer, also those of an existing cluster. Adds those of the load balancer to
# `changes`.
check_network() {
    local hosts vpc balancer ids scheme
    hosts="${subnets:-$(parameter SubnetIds)}" balancer="${lb_subnets:-$(parameter LoadBalancerSubnetIds)}"
    if [ -z "$hosts" ]; then
        [ -z "$lb_subnets" ] || fail "--lb-subnets: give --subnets, too; in a network of its own, the load balancer has its subnets"
        return
    fi
    scheme="$(parameter_or Scheme internet-facing)"
    [ "$internal" != yes ] || scheme=internal
    balancer="${balancer:-${hosts%,*}}" # the first two, which are the managers'
    ids="$hosts,$balancer"
    # shellcheck disable=SC2086  # a list of words
    aws ec2 describe-subnets --subnet-ids ${ids//,/ } --output json >"$private/subnets.json" 2>"$private/refusal" ||
        fail "--lb-subnets: $(tail -1 "$private/refusal")"
    vpc="$(aws ec2 describe-subnets --subnet-ids "${hosts%%,*}" --query 'Subnets[0].VpcId' --output text)"
    aws ec2 describe-route-tables --filters "Name=vpc-id,Values=$vpc" --output json >"$private/routes.json"
    aws ec2 describe-vpc-endpoints --filters "Name=vpc-id,Values=$vpc" --output json >"$private/endpoints.json"
    (cd "$root" && "$python" -m infra.network --directory "$private" --region "$region" --hosts "$hosts" --balancer "$balancer" \
        --scheme "$scheme" \
        --workers "${max_workers:-$(parameter_or MaxWorkers 20)}") 2>"$private/refusal" || fail "$(tail -1 "$private/refusal")"
    if [ -s "$private/refusal" ]; then
        say "note: $(tail -1 "$private/refusal")"
    fi
    if ! is_live; then
        change LoadBalancerSubnetIds "$balancer"
    fi
}
