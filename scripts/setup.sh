#!/usr/bin/env bash
# Deploys workmanager on AWS, or upgrades what is there:
#
#   ./scripts/setup.sh [--name N] [--region R] [--plan] [--app DIR] [--set NAME=VALUE]... [--redis-url URL]
#                      [--min-workers N] [--max-workers N] [--worker-types T,...] [--on-demand-base N]
#                      [--manager-type T] [--subnets S,S,S] [--allow-cidr C] [--certificate-arn A] [--alarm-email E]
#
# --name             of the cluster, and of its stack (workmanager)
# --plan             shows what would change, and changes nothing
# --app              a directory of modules whose functions jobs may call, with a requirements.txt of theirs
# --set              a setting of managers and workers, WORKMANAGER_NAME (README, Settings)
# --redis-url        an existing cluster instead of one on the managers; the word PASSWORD in it stands for the
#                    password, which is read from the environment variable WORKMANAGER_REDIS_PASSWORD. It must let
#                    the hosts' --subnets in
# --worker-types     in order of preference, all of one architecture, which becomes that of all hosts
# --subnets          three of an existing VPC, in three zones, instead of a network of its own
# --allow-cidr       who reaches the load balancer (0.0.0.0/0; every request needs an API key)
# --certificate-arn  of the load balancer, in ACM, instead of one that setup.sh makes
#
# What is not given stays as it is, but for --app and --set, which are part of each bundle. It needs bash, aws-cli with
# credentials, and Python 3.11 or newer with pip.
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
# shellcheck source=scripts/_stack.sh
. "$root/scripts/_stack.sh"

main() {
    read_options "$@"
    check_caller
    set_up deploy
    private="$(mktemp -d)"
    trap 'rm -rf "$private"' EXIT
    say "cluster $name in $region, account $account, as ${caller#*$'\t'}"
    look
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
    aws iam create-service-linked-role --aws-service-name spot.amazonaws.com >/dev/null 2>&1 || true # there is one
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
        fail "the stack stands, but does not do its work: see above, and the log group $(output LogGroup)"
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
