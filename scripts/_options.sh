# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the options and `region` are setup.sh's, and so is what is set here
# Sourced by setup.sh: what it was asked for, checked before anything is made.

read_options() {
    name=workmanager region='' plan=no app='' redis_url='' subnets='' worker_types='' manager_type='' certificate_arn=''
    min_workers='' max_workers='' on_demand_base='' allow_cidr='' alarm_email=''
    settings=()
    while [ $# -gt 0 ]; do
        case "$1" in
        --plan) plan=yes && shift && continue ;;
        -h | --help) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0" && exit ;;
        --*) [ $# -ge 2 ] || usage "$1 needs a value" ;;
        *) usage "$1 is no option" ;;
        esac
        case "$1" in
        --name) name="$2" ;;
        --region) region="$2" ;;
        --app) app="$2" ;;
        --set) settings+=("--set" "$2") ;;
        --redis-url) redis_url="$2" ;;
        --subnets) subnets="$2" ;;
        --worker-types) worker_types="$2" ;;
        --manager-type) manager_type="$2" ;;
        --certificate-arn) certificate_arn="$2" ;;
        --min-workers) min_workers="$2" ;;
        --max-workers) max_workers="$2" ;;
        --on-demand-base) on_demand_base="$2" ;;
        --allow-cidr) allow_cidr="$2" ;;
        --alarm-email) alarm_email="$2" ;;
        *) usage "$1 is no option" ;;
        esac
        shift 2
    done
    check_values
}

usage() {
    say "error: $1 (--help shows all)"
    exit 2
}

# What can be told without AWS.
check_values() {
    local type='[a-z0-9-]+\.[a-z0-9-]+'
    check --region "$region" '[a-z]{2}(-[a-z]+)+-[0-9]' "a region's name, such as us-east-1"
    check --min-workers "$min_workers" '[0-9]{1,6}' "a number"
    check --max-workers "$max_workers" '[1-9][0-9]{0,5}' "a number from 1 on"
    check --on-demand-base "$on_demand_base" '[0-9]{1,6}' "a number"
    check --worker-types "$worker_types" "$type(,$type)*" "types of EC2 with commas between them"
    check --manager-type "$manager_type" "$type" "a type of EC2"
    check --subnets "$subnets" 'subnet-[0-9a-f]+(,subnet-[0-9a-f]+){2}' "three with commas between them, subnet-…,subnet-…,subnet-…"
    check --certificate-arn "$certificate_arn" 'arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[^ ]+' "arn:aws:acm:REGION:ACCOUNT:certificate/ID"
    check --alarm-email "$alarm_email" '[^@ ]+@[^@ ]+' "an address, NAME@DOMAIN"
    check --redis-url "$redis_url" 'rediss?://(([^:@/]*:PASSWORD)?@)?[^@/,:]+(:[0-9]+)?([,/?][^@]*)?' \
        "redis[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...], with the very word PASSWORD"
    check --allow-cidr "$allow_cidr" '([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}' "an IPv4 range, A.B.C.D/BITS"
    check_range
    check_order "$min_workers" "$max_workers"
    if [ -n "$app" ] && [ ! -d "$app" ]; then
        usage "--app $app: there is no such directory"
    fi
    local setting
    for setting in "${settings[@]}"; do
        [ "$setting" = --set ] || check --set "$setting" '[A-Z][A-Z0-9_]*=.*' "NAME=VALUE"
    done
}

# check OPTION VALUE PATTERN WHAT: where a value is given, it is one of these
check() {
    [ -z "$2" ] || [[ "$2" =~ ^$3$ ]] || usage "$1 $2: give $4"
}

check_range() {
    local part
    for part in ${allow_cidr//[.\/]/ }; do
        [ "$((10#$part))" -le 255 ] || usage "--allow-cidr $allow_cidr: $part is more than 255"
    done
    [ -z "$allow_cidr" ] || [ "$((10#${allow_cidr#*/}))" -le 32 ] ||
        usage "--allow-cidr $allow_cidr: a range has 32 bits at most"
}

# check_order MIN MAX, either of which may be empty
check_order() {
    [ -z "$1" ] || [ -z "$2" ] || [ "$((10#$1))" -le "$((10#$2))" ] ||
        usage "--min-workers $1 is more than --max-workers $2"
}

# What only AWS knows. Sets `changes`, the stack's parameters that were asked for.
check_against_aws() {
    local status present
    changes=()
    present="$(stack_status)"
    check_order "${min_workers:-$(parameter MinWorkers)}" "${max_workers:-$(parameter_or MaxWorkers 20)}"
    if [ -n "$certificate_arn" ]; then
        status="$(aws acm describe-certificate --certificate-arn "$certificate_arn" --query Certificate.Status \
            --output text 2>/dev/null)" || fail "--certificate-arn: there is no $certificate_arn in $region"
        [ "$status" = ISSUED ] || fail "--certificate-arn: $certificate_arn is $status, not ISSUED"
    fi
    case "$present" in
    none | REVIEW_IN_PROGRESS | ROLLBACK_COMPLETE | CREATE_FAILED) ;;
    *)
        # Either would delete the disks that the jobs are on, or the network under the hosts.
        [ -z "$redis_url" ] || [ -n "$(parameter RedisUrl)" ] ||
            fail "--redis-url: the cluster $name has a Redis of its own, with jobs in it: use another --name"
        [ -z "$subnets" ] || [ "$subnets" = "$(parameter SubnetIds)" ] ||
            fail "--subnets: the cluster $name stands in others: use another --name"
        ;;
    esac
    if [ -n "$redis_url" ]; then
        changes+=("RedisUrl=$redis_url" "RedisPort=$(redis_port)")
        if [[ "$redis_url" = *:PASSWORD@* ]] && [ -z "${WORKMANAGER_REDIS_PASSWORD:-}" ]; then
            secret_exists "$name/redis-password" || fail "--redis-url: set WORKMANAGER_REDIS_PASSWORD to the password"
        fi
    fi
    change MinWorkers "$min_workers"
    change MaxWorkers "$max_workers"
    change OnDemandBase "$on_demand_base"
    change AllowCidr "$allow_cidr"
    change AlarmEmail "$alarm_email"
}

# redis_port: that the first server of the URL has
redis_port() {
    local server="${redis_url#*://}"
    server="${server##*@}" && server="${server%%[,/?]*}"
    if [ "$server" = "${server%:*}" ]; then
        echo 6379
    else
        echo "${server##*:}"
    fi
}

# change PARAMETER VALUE: where one is given
change() {
    if [ -n "$2" ]; then
        changes+=("$1=$2")
    fi
}
