# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets the options, `root`, `python` and `private`
# Sourced by setup.sh: shows or makes changes of the stack.

# Creates the change set `change_set` of the type `kind`; fails if nothing would change.
make_change_set() {
    local reason source=(--use-previous-template)
    if [ -n "$template" ]; then
        source=(--template-url "$(template_url)")
    fi
    choose_kind
    merge_parameters >"$private/parameters.json"
    if [ "$kind" = CREATE ] && [ "$plan" != yes ]; then
        upload "$private/parameters.json" "$remembered"
    fi
    change_set="$name-$(date -u +%Y%m%d%H%M%S)"
    aws cloudformation create-change-set --stack-name "$name" --change-set-name "$change_set" --change-set-type "$kind" \
        "${source[@]}" --capabilities CAPABILITY_IAM --parameters "file://$private/parameters.json" \
        --tags "Key=workmanager:cluster,Value=$name" >/dev/null ||
        fail "CloudFormation does not accept a change of the stack $name now (see above)"
    if aws cloudformation wait change-set-create-complete --stack-name "$name" --change-set-name "$change_set" 2>/dev/null; then
        return 0
    fi
    reason="$(aws cloudformation describe-change-set --stack-name "$name" --change-set-name "$change_set" \
        --query StatusReason --output text)"
    aws cloudformation delete-change-set --stack-name "$name" --change-set-name "$change_set"
    case "$reason" in
    *"didn't contain changes"* | *"No updates"*) return 1 ;;
    esac
    fail "CloudFormation rejects the template: $reason"
}

# Sets `kind`, CREATE or UPDATE, and deletes the remains of a stack that can only be created again.
choose_kind() {
    kind=UPDATE
    clear_failed_stack
    if [ "$(stack_status)" = none ]; then
        kind=CREATE
    fi
}

# merge_parameters OPTION...: prints the parameters of the stack as infra.parameters does with these options
merge_parameters() {
    local merging=()
    [ -n "$template" ] || merging=(--same-template)
    # The first versions do not matter: the stack creates most secrets itself.
    changes+=("SecretVersions=$(if [ "$kind" = UPDATE ]; then secret_versions; else echo first; fi)")
    (cd "$root" && "$python" -m infra.parameters --previous "$previous" ${merging[@]+"${merging[@]}"} "$@" "${changes[@]}") ||
        fail "cannot prepare the stack's parameters (see above)"
}

template_url() { echo "https://$bucket.s3.$region.amazonaws.com/$template_key"; }

# Writes the file of --tfvars instead of changing the stack, which Terraform does (infra/terraform).
write_terraform_variables() {
    local kept="$private/kept.yaml"
    choose_kind
    if [ -z "$template" ]; then # the stack keeps its template, and Terraform wants to know which it is
        aws cloudformation get-template --stack-name "$name" --template-stage Original --query TemplateBody --output json |
            "$python" -c 'import json, sys; sys.stdout.write(json.load(sys.stdin))' >"$kept" ||
            fail "cannot read the template of the stack $name (see above)"
        template_key="template/$(digest <"$kept").yaml"
        upload "$kept" "$template_key"
    fi
    merge_parameters --terraform "$name" "$(template_url)" >"$private/tfvars"
    cp "$private/tfvars" "$tfvars" || fail "--tfvars $tfvars: cannot be written"
    say "$tfvars is ready for terraform apply, in $region"
}

# secret_versions: prints a word that changes when a secret's value is replaced, so that hosts are replaced, too.
secret_versions() {
    local secret versions=''
    for secret in api-keys store/{manager,worker,replica,administrator,operator} store-tls redis-password; do
        versions+="$(aws secretsmanager describe-secret --secret-id "$name/$secret" --query VersionIdsToStages \
            --output json 2>/dev/null | tr -d ' \n' || true)"
    done
    if grep -q -e AWSPREVIOUS -e AWSPENDING <<<"$versions"; then
        digest <<<"$versions"
    else
        echo first
    fi
}

# Shows what would change. What CloudFormation needs for that is deleted afterwards.
show_plan() {
    local certificate="$certificate_arn"
    case "$(stack_status)" in
    none | REVIEW_IN_PROGRESS) certificate="${certificate:-arn:$partition:acm:$region:$account:certificate/new}" ;;
    ROLLBACK_* | CREATE_FAILED | DELETE_FAILED)
        fail "the stack is $(stack_status); run setup.sh without --plan, which deletes and recreates it"
        ;;
    esac
    change CertificateArn "$certificate"
    if [[ "$redis_url" = *:PASSWORD@* ]] && [ -z "$(parameter RedisSecret)" ]; then
        change RedisSecret "arn:$partition:secretsmanager:$region:$account:secret:$name/redis-password-new"
    fi
    trap 'forget_plan; rm -rf "$private"' EXIT
    if [ -n "$template" ]; then
        if ! bucket_exists; then
            make_bucket
            forget_bucket=yes
        elif ! uploaded "$template_key"; then
            forget_template=yes
        fi
        upload "$template" "$template_key"
    fi
    if ! make_change_set; then
        say "nothing would change"
        return
    fi
    changed_resources | sort | while read -r action resource type replaced; do
        printf '%-8s %-28s %-44s %s\n' "$action" "$resource" "$type" "${replaced/None/}"
    done
}

changed_resources() {
    aws cloudformation describe-change-set --stack-name "$name" --change-set-name "$change_set" --output text --query \
        'Changes[].ResourceChange.[Action,LogicalResourceId,ResourceType,Replacement]'
}

forget_plan() {
    if [ -n "${change_set:-}" ]; then
        aws cloudformation delete-change-set --stack-name "$name" --change-set-name "$change_set" 2>/dev/null || true
    fi
    describe_stack
    if [ "$(stack_status)" = REVIEW_IN_PROGRESS ]; then
        aws cloudformation delete-stack --stack-name "$name"
    fi
    if [ "${forget_bucket:-}" = yes ]; then
        delete_bucket
    elif [ "${forget_template:-}" = yes ]; then
        s3api delete-object --key "$template_key" >/dev/null
    fi
}

# Names of secrets are free again some time after they were deleted, of which a torn-down stack with this name had many.
deploy() {
    local tries
    for tries in 1 2 3; do
        if ! make_change_set; then
            say "the stack is up to date"
            return
        fi
        if [ "$kind" = UPDATE ]; then
            check_managers
        fi
        if execute_change_set; then
            say "the stack is $(stack_status)"
            return
        fi
        say "the deployment failed and was rolled back ($(stack_status)), because of"
        print_failures "$name" "$started_at" 2>"$private/failures"
        cat "$private/failures" >&2
        if [ "$kind" = UPDATE ] || [ "$tries" = 3 ] || ! grep -q 'already scheduled for deletion' "$private/failures"; then
            exit 1
        fi
        say "the names of an earlier stack's secrets are not free yet; trying again"
        sleep $((6 * poll_seconds))
    done
}

execute_change_set() {
    local operation
    operation="$(tr '[:upper:]' '[:lower:]' <<<"$kind")"
    started_at="$(latest_event)"
    say "deploying; a new stack takes about ten minutes, each replaced host a few more"
    aws cloudformation execute-change-set --stack-name "$name" --change-set-name "$change_set"
    if aws cloudformation wait "stack-$operation-complete" --stack-name "$name"; then
        describe_stack
        return 0
    fi
    describe_stack
    # The command gives up after two hours, or if it cannot reach AWS.
    settle_stack
    [ "$(stack_status)" = "${kind}_COMPLETE" ]
}
