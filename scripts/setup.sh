#!/usr/bin/env bash
# Deploys workmanager on AWS, or upgrades what is there:
#
#   ./scripts/setup.sh [--name N] [--region R] [--plan] [--app DIR] [--set NAME=VALUE]... [--redis-url URL]
#                      [--min-workers N] [--max-workers N] [--worker-types T,...] [--on-demand-base N]
#                      [--manager-type T] [--subnets S,S,S] [--allow-cidr C] [--certificate-arn A] [--alarm-email E]
#
# --name             of the cluster, and of its stack (workmanager)
# --plan             shows what would change, and changes nothing but its own bucket
# --app              a directory of modules whose functions jobs may call, with a requirements.txt of theirs
# --set              a setting of managers and workers, WORKMANAGER_NAME (README, Settings)
# --redis-url        an existing cluster instead of one on the managers; the word PASSWORD in it stands for the
#                    password, which is read from the environment variable WORKMANAGER_REDIS_PASSWORD
# --worker-types     in order of preference, all of one architecture, which becomes that of all hosts
# --subnets          three of an existing VPC, in three zones, instead of a network of its own
# --allow-cidr       who reaches the load balancer (0.0.0.0/0; every request needs an API key)
# --certificate-arn  of the load balancer, in ACM, instead of one that setup.sh makes
#
# What is not given stays as it is, but for --app and --set, which are part of each bundle. It needs bash, aws-cli with credentials, and Python 3.11 or newer with pip.
set -euo pipefail

script=setup
# shellcheck source=scripts/_setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/_setup.sh"
# shellcheck source=scripts/_aws.sh
. "$root/scripts/_aws.sh"
# shellcheck source=scripts/_stack.sh
. "$root/scripts/_stack.sh"

main() {
    read_options "$@"
    check_caller
    set_up deploy
    private="$(mktemp -d)"
    trap 'rm -rf "$private"' EXIT
    say "cluster $name in $region, account $account, as ${caller#*$'\t'}"
    make_bucket
    choose_hosts
    upload_bundle
    if [ "$plan" = yes ]; then
        show_plan
        return
    fi
    make_certificates
    make_redis_secret
    aws iam create-service-linked-role --aws-service-name spot.amazonaws.com >/dev/null 2>&1 || true # there is one
    deploy
    smoke_test
    print_result
}

read_options() {
    name=workmanager region='' plan=no app='' redis_url='' subnets='' worker_types='' manager_type='' certificate_arn=''
    settings=()
    changes=() # the stack's parameters that were asked for
    while [ $# -gt 0 ]; do
        case "$1" in
        --plan) plan=yes && shift && continue ;;
        -h | --help) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit ;;
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
        --min-workers) changes+=("MinWorkers=$2") ;;
        --max-workers) changes+=("MaxWorkers=$2") ;;
        --on-demand-base) changes+=("OnDemandBase=$2") ;;
        --allow-cidr) changes+=("AllowCidr=$2") ;;
        --alarm-email) changes+=("AlarmEmail=$2") ;;
        *) usage "$1 is no option" ;;
        esac
        shift 2
    done
}

usage() {
    say "error: $1 (--help shows all)"
    exit 2
}

smoke_test() {
    say "testing PUT /enqueue and POST /pullCompleted through the load balancer"
    local key_file="$private/api-key" certificate=()
    aws secretsmanager get-secret-value --secret-id "$(output ApiKeysSecret)" --query SecretString --output text \
        >"$key_file"
    if [ -n "$(own_certificate)" ]; then
        certificate=(--authority "$authority_file")
    fi
    (cd "$root" && "$python" -m infra.smoke --url "$(output Url)" --key-file "$key_file" "${certificate[@]}") ||
        fail "the stack stands, but does not do its work: see above, and the log group $(output LogGroup)"
}

print_result() {
    echo "url: $(output Url)"
    if [ -n "$(own_certificate)" ]; then
        echo "certificate authority: $authority_file"
    fi
    echo "API key: secret $(output ApiKeysSecret)"
    echo "logs: $(output LogGroup)"
    echo "alarms: $(output AlarmTopic)"
}

main "$@"
