#!/usr/bin/env bash
# shellcheck disable=SC2034,SC2154  # the files that it sources set and use its variables
# Deploys workmanager on AWS, or upgrades an existing deployment:
#
#   ./scripts/setup.sh [--name N] [--region R] [--plan] [--app DIR] [--set NAME=VALUE]... [--redis-url URL]
#                      [--min-workers N] [--max-workers N] [--worker-types T,...] [--on-demand-base N]
#                      [--manager-type T] [--subnets S,S,S] [--allow-cidr C] [--certificate-arn A] [--alarm-email E]
#
# --name             name of the cluster and of its stack (default: workmanager)
# --region           AWS region (default: that of aws-cli)
# --plan             show what would change, and change nothing
# --app              directory of modules whose functions jobs may call, with their requirements.txt
# --set              sets WORKMANAGER_NAME on managers and workers (README, Settings)
# --redis-url        use an existing Redis cluster. The URL has the word PASSWORD in place of the password, which is
#                    read from the environment variable WORKMANAGER_REDIS_PASSWORD. The cluster must accept connections
#                    from the --subnets
# --min-workers      fewest workers
# --max-workers      most workers
# --worker-types     EC2 instance types of workers, in order of preference, all of one architecture. All hosts get that
#                    architecture
# --on-demand-base   number of workers that are never spot instances
# --manager-type     EC2 instance type of managers
# --subnets          three subnets of an existing VPC, in three zones (default: create a network)
# --allow-cidr       addresses that can reach the load balancer (default: 0.0.0.0/0; every request needs an API key)
# --certificate-arn  certificate of the load balancer, in ACM (default: setup.sh creates one)
# --alarm-email      address that gets the alarms
#
# An option that is not given keeps its previous value, except --app and --set, which are part of each bundle. Needs
# bash, aws-cli with credentials, and Python 3.11 or newer with pip.
set -euo pipefail

script=setup
# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"
for part in aws state failures options wishes hosts quotas network keys bucket bundle certificates change_set balancer; do
    # shellcheck source=/dev/null
    . "$root/scripts/_$part.sh"
done

main() {
    read_options "$@"
    check_caller
    set_up deploy
    private="$(mktemp -d)"
    trap 'rm -rf "$private"' EXIT
    say "cluster $name in $region, account $account, as ${caller#*$'\t'}"
    describe_stack
    if [ "$plan" != yes ]; then
        settle_stack
    fi
    recall_parameters
    check_against_aws
    choose_hosts
    choose_key
    choose_bundle
    if [ "$plan" = yes ]; then
        show_plan
        return
    fi
    make_bucket
    if [ -n "$bundle" ]; then
        upload "$bundle" "bundle/$(basename "$bundle")"
        upload "$template" "$template_key"
    fi
    grant_key
    make_certificates
    make_redis_secret
    aws iam create-service-linked-role --aws-service-name spot.amazonaws.com >/dev/null 2>&1 || true # it exists
    deploy
    wait_for_managers
    smoke_test
    print_result
}

# Clients use the load balancer's name, or --domain, which may not point to it yet.
smoke_test() {
    say "testing PUT /enqueue and POST /pullCompleted through the load balancer"
    local key_file="$private/api-key" options=()
    own_certificate="$(own_certificate)"
    aws secretsmanager get-secret-value --secret-id "$(output ApiKeysSecret)" --query SecretString --output text \
        >"$key_file"
    if [ -n "$own_certificate" ]; then
        options=(--authority "$authority_file")
    fi
    if [ "$(parameter Scheme)" = internal ]; then
        options+=(--internal)
    fi
    (cd "$root" && "$python" -m infra.smoke --url "$(output Url)" --balancer "$(output LoadBalancerName)" \
        --key-file "$key_file" ${options[@]+"${options[@]}"}) ||
        fail "the stack is deployed, but the smoke test failed; see above, and the log group $(output LogGroup)"
}

print_result() {
    echo "url: $(output Url)"
    if [ -n "$(parameter Domain)" ]; then
        echo "DNS: point $(parameter Domain) (CNAME) to $(output LoadBalancerName)"
    fi
    if [ -n "$own_certificate" ]; then
        echo "certificate authority: $authority_file"
    fi
    echo "API key: secret $(output ApiKeysSecret)"
    echo "logs: $(output LogGroup)"
    echo "alarms: $(output AlarmTopic)"
    if [ -n "$(parameter MonthlyBudget)" ]; then
        echo "budget: counts once the tag workmanager:cluster is an active cost allocation tag (billing console)"
    fi
}

main "$@"
