# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # setup.sh uses the variables that are set here, and sets `region`
# Sourced by setup.sh: reads its options, and checks them before anything is created.

read_options() {
    name=workmanager region='' plan=no app='' redis_url='' subnets='' worker_types='' manager_type='' certificate_arn=''
    min_workers='' max_workers='' on_demand_base='' allow_cidr='' alarm_email=''
    settings=()
    while [ $# -gt 0 ]; do
        case "$1" in
        --plan) plan=yes && shift && continue ;;
        -h | --help) print_help && exit ;;
        --name | --region | --app | --set | --redis-url | --subnets | --worker-types | --manager-type) ;;
        --certificate-arn | --min-workers | --max-workers | --on-demand-base | --allow-cidr | --alarm-email) ;;
        --*=*) usage "${1%%=*}: give the value as the next argument, without =" ;;
        -*) usage "unknown option $1" ;;
        *) usage "unexpected argument $1" ;;
        esac
        [ $# -ge 2 ] || usage "$1 needs a value"
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
        esac
        shift 2
    done
    check_values
}

# Checks that need no AWS.
check_values() {
    local type='[a-z0-9-]+\.[a-z0-9-]+'
    check --region "$region" '[a-z]{2}(-[a-z]+)+-[0-9]' "the name of a region, such as us-east-1"
    check --min-workers "$min_workers" '[0-9]{1,6}' "a number"
    check --max-workers "$max_workers" '[1-9][0-9]{0,5}' "a number from 1"
    check --on-demand-base "$on_demand_base" '[0-9]{1,6}' "a number"
    check --worker-types "$worker_types" "$type(,$type)*" "EC2 instance types, separated by commas"
    check --manager-type "$manager_type" "$type" "an EC2 instance type"
    check --subnets "$subnets" 'subnet-[0-9a-f]+(,subnet-[0-9a-f]+){2}' "three subnets, separated by commas"
    check --certificate-arn "$certificate_arn" 'arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[^ ]+' "arn:aws:acm:REGION:ACCOUNT:certificate/ID"
    check --alarm-email "$alarm_email" '[^@ ]+@[^@ ]+' "an e-mail address, NAME@DOMAIN"
    check --redis-url "$redis_url" 'rediss?://(([^:@/]*:PASSWORD)?@)?[^@/,:]+(:[0-9]+)?([,/?][^@]*)?' \
        "redis[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...], with the literal word PASSWORD"
    check --allow-cidr "$allow_cidr" '([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}' "an IPv4 range, A.B.C.D/BITS"
    check_range
    check_order "$min_workers" "$max_workers"
    if [ -n "$app" ] && [ ! -d "$app" ]; then
        usage "--app $app: no such directory"
    fi
    local setting
    for setting in "${settings[@]}"; do
        [ "$setting" = --set ] || check --set "$setting" '[A-Z][A-Z0-9_]*=.*' "NAME=VALUE"
    done
}

# check OPTION VALUE PATTERN DESCRIPTION: a value, if it is given, must match the pattern
check() {
    [ -z "$2" ] || [[ "$2" =~ ^$3$ ]] || usage "$1$(shown "$1" "$2"): give $4"
}

# shown OPTION VALUE: prints the value, unless it can hold a password
shown() { [ "$1" = --redis-url ] || printf ' %s' "$2"; }

check_range() {
    local part
    for part in ${allow_cidr//[.\/]/ }; do
        [ "$((10#$part))" -le 255 ] || usage "--allow-cidr $allow_cidr: $part is more than 255"
    done
    [ -z "$allow_cidr" ] || [ "$((10#${allow_cidr#*/}))" -le 32 ] ||
        usage "--allow-cidr $allow_cidr: the prefix length is at most 32"
}

# check_order MIN MAX: either may be empty
check_order() {
    [ -z "$1" ] || [ -z "$2" ] || [ "$((10#$1))" -le "$((10#$2))" ] ||
        usage "--min-workers $1 is more than --max-workers $2"
}

# Checks that need AWS. Sets `changes`: the stack's parameters for the given options.
check_against_aws() {
    local status present
    changes=()
    present="$(stack_status)"
    check_order "${min_workers:-$(parameter MinWorkers)}" "${max_workers:-$(parameter_or MaxWorkers 20)}"
    if [ -n "$certificate_arn" ]; then
        status="$(aws acm describe-certificate --certificate-arn "$certificate_arn" --query Certificate.Status \
            --output text 2>/dev/null)" || fail "--certificate-arn: $region has no certificate $certificate_arn"
        [ "$status" = ISSUED ] || fail "--certificate-arn: $certificate_arn is $status, not ISSUED"
    fi
    case "$present" in
    none | REVIEW_IN_PROGRESS | ROLLBACK_COMPLETE | CREATE_FAILED) ;;
    *)
        # Either change would delete the disks with the jobs, or the network of the hosts.
        [ -z "$redis_url" ] || [ -n "$(parameter RedisUrl)" ] ||
            fail "--redis-url: the cluster $name has its own Redis with jobs in it; use another --name"
        [ -z "$subnets" ] || [ "$subnets" = "$(parameter SubnetIds)" ] ||
            fail "--subnets: the cluster $name is in other subnets; use another --name"
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
