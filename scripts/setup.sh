#!/usr/bin/env bash
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
# shellcheck source=scripts/_aws.sh
. "$root/scripts/_aws.sh"
# shellcheck source=scripts/_options.sh
. "$root/scripts/_options.sh"
# shellcheck source=scripts/_hosts.sh
. "$root/scripts/_hosts.sh"
# shellcheck source=scripts/_bucket.sh
. "$root/scripts/_bucket.sh"
# shellcheck source=scripts/_certificates.sh
. "$root/scripts/_certificates.sh"
# shellcheck source=scripts/_change_set.sh
. "$root/scripts/_change_set.sh"

main() {
    read_options "$@"
    check_caller
    set_up deploy
    private="$(mktemp -d)"
    trap 'rm -rf "$private"' EXIT
    say "cluster $name in $region, account $account, as ${caller#*$'\t'}"
    describe_stack
    check_against_aws
    choose_hosts
    build_bundle
    if [ "$plan" = yes ]; then
        show_plan
        return
    fi
    make_bucket
    upload "$bundle" "bundle/$sha256.tar.gz"
    upload "$private/template.yaml" "$template_key"
    make_certificates
    make_redis_secret
    aws iam create-service-linked-role --aws-service-name spot.amazonaws.com >/dev/null 2>&1 || true # it exists
    deploy
    smoke_test
    print_result
}

smoke_test() {
    say "testing PUT /enqueue and POST /pullCompleted through the load balancer"
    local key_file="$private/api-key" certificate=()
    own_certificate="$(own_certificate)"
    aws secretsmanager get-secret-value --secret-id "$(output ApiKeysSecret)" --query SecretString --output text \
        >"$key_file"
    if [ -n "$own_certificate" ]; then
        certificate=(--authority "$authority_file")
    fi
    (cd "$root" && "$python" -m infra.smoke --url "$(output Url)" --key-file "$key_file" "${certificate[@]}") ||
        fail "the stack is deployed, but the smoke test failed; see above, and the log group $(output LogGroup)"
}

print_result() {
    echo "url: $(output Url)"
    if [ -n "$own_certificate" ]; then
        echo "certificate authority: $authority_file"
    fi
    echo "API key: secret $(output ApiKeysSecret)"
    echo "logs: $(output LogGroup)"
    echo "alarms: $(output AlarmTopic)"
}

main "$@"
