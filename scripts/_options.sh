# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # read_options sets a variable for each option, for setup.sh
# Sourced by setup.sh: reads its options, and makes those checks of their values that need no AWS.

valued_options="name region tfvars image app redis-url min-workers max-workers worker-types on-demand-base on-demand-max manager-type
    store-gib subnets lb-subnets allow-cidr domain certificate-arn kms-key alarm-email monthly-budget log-days"
flags="plan internal upgrade upgrade-image force"

# Sets a variable for each option: --min-workers sets `min_workers`. A flag is `yes`, and what is not given is empty;
# `settings` holds the values of --set.
read_options() {
    local option
    for option in $valued_options $flags; do
        printf -v "${option//-/_}" %s ''
    done
    name=workmanager
    settings=()
    while [ $# -gt 0 ]; do
        option="${1#--}"
        case "$1" in
        -h | --help) print_help && exit ;;
        --*=*) usage "${1%%=*}: give the value as the next argument, without =" ;;
        --*) ;;
        -*) usage "unknown option $1" ;;
        *) usage "unexpected argument $1" ;;
        esac
        if is_one_of "$option" "$flags"; then
            printf -v "${option//-/_}" yes
            shift
            continue
        fi
        is_one_of "$option" "set $valued_options" || usage "unknown option $1"
        [ $# -ge 2 ] || usage "$1 needs a value"
        if [ "$option" = set ]; then
            settings+=("$2")
        else
            printf -v "${option//-/_}" %s "$2"
        fi
        shift 2
    done
    check_values
}

# is_one_of WORD WORDS
is_one_of() {
    local word
    for word in $2; do
        [ "$word" != "$1" ] || return 0
    done
    return 1
}

check_values() {
    local type='[a-z0-9-]+\.[a-z0-9-]+' setting
    check --region "$region" '[a-z]{2,4}(-[a-z]+)+-[0-9]' "the name of a region, such as us-east-1"
    check --min-workers "$min_workers" '[0-9]{1,6}' "a number"
    check --max-workers "$max_workers" '[1-9][0-9]{0,5}' "a number from 1"
    check --on-demand-base "$on_demand_base" '[0-9]{1,6}' "a number"
    check --on-demand-max "$on_demand_max" '(none|[0-9]{1,6})' "a number, or none"
    check --store-gib "$store_gib" '([4-9]|[1-9][0-9]{1,4})' "a number of GiB from 4"
    check --log-days "$log_days" '(1|3|5|7|14|30|60|90|120|150|180|365|400|545|731|1096|1827|2192|2557|2922|3288|3653)' \
        "a number of days that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 180, 365 and some more"
    check --monthly-budget "$monthly_budget" '[1-9][0-9]{0,7}' "a number of US dollars from 1"
    check --worker-types "$worker_types" "$type(,$type)*" "EC2 instance types, separated by commas"
    check --manager-type "$manager_type" "$type" "an EC2 instance type"
    check --subnets "$subnets" 'subnet-[0-9a-f]+(,subnet-[0-9a-f]+){2}' "three subnets, separated by commas"
    check --lb-subnets "$lb_subnets" 'subnet-[0-9a-f]+(,subnet-[0-9a-f]+){1,2}' "two or three subnets, separated by commas"
    check --domain "$domain" '([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?' \
        "a name in small letters, such as jobs.example.com"
    check --certificate-arn "$certificate_arn" 'arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+' \
        "arn:aws:acm:REGION:ACCOUNT:certificate/ID"
    check --image "$image" 'ami-[0-9a-f]+' "the id of an image, ami-…"
    [ -z "$tfvars" ] || [ -z "$plan" ] || usage "--tfvars: terraform plan shows what would change, not --plan"
    [ -z "$image" ] || [ -z "$upgrade_image" ] || usage "--image: that is another image than the one of --upgrade-image"
    check --kms-key "$kms_key" 'arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+' \
        "arn:aws:kms:REGION:ACCOUNT:key/ID"
    check --alarm-email "$alarm_email" '[^@ ]+@[^@ ]+' "an e-mail address, NAME@DOMAIN"
    check --redis-url "$redis_url" \
        'rediss?://(([A-Za-z0-9._~%-]*:PASSWORD)?@)?[A-Za-z0-9._-]+(:[0-9]{1,5})?(,[A-Za-z0-9._-]+(:[0-9]{1,5})?)*(/[0-9]*)?(\?[A-Za-z0-9._~%&=/-]*)?' \
        "redis[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...], with the literal word PASSWORD"
    check --allow-cidr "$allow_cidr" '([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}' "an IPv4 range, A.B.C.D/BITS"
    check_range
    check_order --min-workers "$min_workers" --max-workers "$max_workers"
    check_order --on-demand-base "$on_demand_base" --on-demand-max "${on_demand_max#none}"
    [ -z "$app" ] || [ "$app" = none ] || [ -d "$app" ] || usage "--app $app: no such directory"
    for setting in ${settings[@]+"${settings[@]}"}; do
        case "$setting" in
        OTEL_*HEADERS=*) usage "--set ${setting%%=*}: jobs could read it; let a collector of yours add such a field" ;;
        esac
        check --set "$setting" '[A-Z][A-Z0-9_]*=.*' "NAME=VALUE"
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

# check_order OPTION LESS OPTION MORE: either value may be empty
check_order() {
    [ -z "$2" ] || [ -z "$4" ] || [ "$((10#$2))" -le "$((10#$4))" ] || usage "$1 $2 is more than $3 $4"
}
