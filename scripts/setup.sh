#!/usr/bin/env bash
# shellcheck disable=SC2034,SC2154  # the files that it sources set and use its variables
# Deploys workmanager on AWS, or changes an existing deployment:
#
#   ./scripts/setup.sh [--name N] [--region R] [--plan] [OPTION]...
#
# An option that is not given keeps its value, and nothing else changes. US dollars are those of infra/prices.json, for
# us-east-1; without workers, a deployment with the defaults costs 182 a month (docs/operating.md, Costs).
#
# --name             name of the cluster and of its stack (default: workmanager)
# --region           AWS region (default: that of aws-cli)
# --plan             show what would change, and change nothing
# --tfvars           prepare all but the stack, and write the variables of infra/terraform to this file (JSON)
# --upgrade          deploy this version of workmanager
# --upgrade-image    give all hosts the newest image of Amazon Linux 2023
# --image            give all hosts this image of one's own: that of scripts/bake.sh, with which they boot faster
# --force            change managers although one of them is away: the service may be away, too, for minutes
#
# --app              directory of modules whose functions jobs may call, with their requirements.txt; `none` to drop it
# --set NAME=VALUE   sets WORKMANAGER_NAME on managers and workers (README, Settings), or OTEL_… for traces
#                    (docs/tracing.md, On AWS)
#
# --min-workers      fewest workers (default: 0)
# --max-workers      most workers (default: 20). An hour of a c7g.xlarge costs 0.151 on demand, less as a spot instance
# --worker-types     EC2 instance types of workers, in order of preference, all of one architecture. All hosts get that
#                    architecture (default: c7g.xlarge,c6g.xlarge,m7g.xlarge)
# --on-demand-base   number of workers that are never spot instances (default: 0)
# --on-demand-max    most workers that are not spot instances (default: none, no limit: what the spot market lacks is
#                    launched on demand, which can cost three times as much). With 0, jobs wait for spot capacity
# --manager-type     EC2 instance type of managers (default: m7g.large, 60 a month each)
# --store-gib        size of each manager's disk for Redis (default: 20; 0.16 a month for each GiB). It can grow
#
# --subnets          three subnets of an existing VPC, in three zones (default: create a network)
# --internal         the load balancer has addresses of the network only (7 a month less)
# --lb-subnets       with --subnets, two or three other subnets for the load balancer: public ones, unless --internal
# --allow-cidr       addresses that can reach the load balancer (default: 0.0.0.0/0; every request needs an API key)
# --certificate-arn  certificate of the load balancer, in ACM (default: setup.sh creates one)
# --domain           name for which clients know the load balancer, and for which that certificate is
# --kms-key          ARN of the key for all disks (default: the account's key for disks). AWS takes 1 a month for a key of
#                    one's own, which setup.sh does not create
# --redis-url        use an existing Redis cluster. The URL has the word PASSWORD in place of the password, which is
#                    read from the environment variable WORKMANAGER_REDIS_PASSWORD. The cluster must accept connections
#                    from the --subnets
#
# --alarm-email      address that gets the alarms
# --monthly-budget   US dollars a month, of which 80 % spent, or 100 % foreseen, raise an alarm
# --log-days         days for which logs are kept (default: 30). Writing them costs 0.5 for each GiB
#
# Needs bash, aws-cli with credentials (infra/deployer-policy.json has the permissions), and Python 3.11 or newer with
# pip.
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
    find_bucket
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
    if [ -n "$tfvars" ]; then
        write_terraform_variables
        return
    fi
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
