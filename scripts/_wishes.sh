# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: what was asked for, now and in earlier runs. `changes` gets the stack's parameters for the options
# of this run; an option that is not given keeps its value.

# Parameters of a stack whose creation failed, or is not over, are kept here for the next run.
remembered="deployment/parameters.json"

# Writes the parameters of the latest run to the file `previous`. If the stack does not live, `parameter` finds them, too.
recall_parameters() {
    previous="$private/previous.json"
    echo '[]' >"$previous"
    if is_live; then
        read_parameters
        return
    fi
    if ! s3api get-object --key "$remembered" "$previous" >/dev/null 2>&1; then
        echo '[]' >"$previous"
        case "$(stack_status)" in
        ROLLBACK_* | CREATE_FAILED) read_parameters ;;
        esac
    fi
    stack="$(grep -v '^parameter' <<<"$stack" || true)"
    stack+=$'\n'"$(cd "$root" && "$python" -m infra.parameters --previous "$previous" --list)"
}

read_parameters() {
    aws cloudformation describe-stacks --stack-name "$name" --query 'Stacks[0].Parameters' --output json >"$previous" ||
        fail "cannot read the stack's parameters (see above)"
}

# Checks the options against the previous ones and against AWS, before anything is created.
check_against_aws() {
    changes=()
    local most_on_demand="${on_demand_max:-$(parameter OnDemandMax)}"
    check_order --min-workers "${min_workers:-$(parameter MinWorkers)}" --max-workers "${max_workers:-$(parameter_or MaxWorkers 20)}"
    check_order --on-demand-base "${on_demand_base:-$(parameter OnDemandBase)}" --on-demand-max "${most_on_demand#none}"
    if is_live; then
        # Each of these changes would delete the disks with the jobs, or the network of the hosts, or the URL of clients.
        [ -z "$redis_url" ] || [ -n "$(parameter RedisUrl)" ] ||
            fail "--redis-url: the cluster $name has its own Redis with jobs in it; use another --name"
        stays --subnets "$subnets" "$(parameter SubnetIds)" "is in other subnets"
        stays --lb-subnets "$lb_subnets" "$(parameter LoadBalancerSubnetIds)" "has its load balancer in other subnets"
        stays --internal "${internal:+internal}" "$(parameter Scheme)" "has a public load balancer"
        stays --kms-key "$kms_key" "$(parameter KmsKey)" "has disks with another key"
        if [ -n "$store_gib" ] && [ "$store_gib" -lt "$(parameter_or StoreGibibytes 0)" ]; then
            fail "--store-gib $store_gib: disks cannot shrink; they have $(parameter StoreGibibytes) GiB"
        fi
    fi
    if [ -n "$redis_url" ]; then
        changes+=("RedisUrl=$redis_url" "RedisPort=$(redis_port)")
        if [[ "$redis_url" = *:PASSWORD@* ]] && [ -z "${WORKMANAGER_REDIS_PASSWORD:-}" ]; then
            secret_exists "$name/redis-password" || fail "--redis-url: set WORKMANAGER_REDIS_PASSWORD to the password"
        fi
    fi
    if [ -n "$monthly_budget" ]; then
        [ -n "${alarm_email:-$(parameter AlarmEmail)}" ] || fail "--monthly-budget: give --alarm-email, too, to whom it is told"
        [ "$partition" = aws ] || fail "--monthly-budget: $region has no AWS Budgets"
    fi
    check_certificate
    change MinWorkers "$min_workers"
    change MaxWorkers "$max_workers"
    change OnDemandBase "$on_demand_base"
    change OnDemandMax "$on_demand_max"
    change StoreGibibytes "$store_gib"
    change AllowCidr "$allow_cidr"
    change AlarmEmail "$alarm_email"
    change MonthlyBudget "$monthly_budget"
    change LogDays "$log_days"
    change Domain "$domain"
    change Scheme "${internal:+internal}"
}

# stays OPTION VALUE PRESENT REASON: an existing cluster's value cannot be changed
stays() {
    [ -z "$2" ] || [ "$2" = "$3" ] || fail "$1: the cluster $name $4; use another --name"
}

# The load balancer's certificate must be valid for the name that clients use. Sets `domain` if only the certificate is
# given and it has a name.
check_certificate() {
    local arn="$certificate_arn" found status first names
    if [ -z "$arn" ]; then
        [ -z "$domain" ] || [ -n "$(parameter Domain)" ] ||
            fail "--domain: give --certificate-arn, too, of a certificate in ACM for $domain"
        [ -n "$domain" ] || return 0
        arn="$(parameter CertificateArn)"
    fi
    # shellcheck disable=SC2016  # JMESPath
    found="$(aws acm describe-certificate --certificate-arn "$arn" --output text \
        --query 'Certificate.[Status, DomainName, SubjectAlternativeNames && join(`,`, SubjectAlternativeNames)]' 2>/dev/null)" ||
        fail "--certificate-arn: $region has no certificate $arn"
    IFS=$'\t' read -r status first names <<<"$found"
    [ "$status" = ISSUED ] || fail "--certificate-arn: $arn is $status, not ISSUED"
    if [ -z "$domain" ] && [ -z "$(parameter Domain)" ]; then
        case "$first" in
        *[*]* | None) ;;
        *) domain="$first" ;;
        esac
        [ -n "$domain" ] || fail "--certificate-arn: give --domain, too, the name for which clients know the load balancer"
    fi
    covers "$first,$names" "${domain:-$(parameter Domain)}" ||
        fail "--domain ${domain:-$(parameter Domain)}: the certificate $arn is for $first,$names"
}

# covers NAMES NAME: whether a certificate for these names, separated by commas, is valid for this one
covers() {
    local one names
    IFS=, read -ra names <<<"$1"
    for one in "${names[@]}"; do
        [ "$one" != "$2" ] && [ "$one" != "*.${2#*.}" ] || return 0
    done
    return 1
}

# redis_port: prints the port of the first server in the URL
redis_port() {
    local server="${redis_url#*://}"
    server="${server##*@}" && server="${server%%[,/?]*}"
    if [ "$server" = "${server%:*}" ]; then
        echo 6379
    else
        echo "${server##*:}"
    fi
}

# change PARAMETER VALUE: if the value is not empty
change() {
    if [ -n "$2" ]; then
        changes+=("$1=$2")
    fi
}
