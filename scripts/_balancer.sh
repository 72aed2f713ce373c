# shellcheck shell=bash
# shellcheck disable=SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: the managers as the load balancer sees them.

healthy_seconds="${WORKMANAGER_HEALTHY_SECONDS:-300}"

# While a manager is replaced, the other one must serve: an update that replaces them begins only if both do.
check_managers() {
    local deadline=$((SECONDS + healthy_seconds))
    # Stacks of earlier versions do not tell their target group.
    if [ -z "$(output Targets)" ] || [ "$force" = yes ] ||
        ! changed_resources | cut -f 2 | grep -x -e ManagerA -e ManagerB >/dev/null; then
        return
    fi
    while [ "$(healthy_managers)" -lt 2 ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            aws cloudformation delete-change-set --stack-name "$name" --change-set-name "$change_set"
            fail "the load balancer has $(healthy_managers) healthy managers, and replacing one could leave none;" \
                "mend the other one first (terminate its instance, and its group starts another), or give --force"
        fi
        sleep "$poll_seconds"
    done
}

# wait_for_managers: a target stays `initial` for a while after its host has come up
wait_for_managers() {
    local deadline=$((SECONDS + healthy_seconds))
    until [ "$(healthy_managers)" -ge 2 ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "note: after $healthy_seconds s the load balancer has $(healthy_managers) of 2 managers:"
            target_health >&2
            return
        fi
        sleep "$poll_seconds"
    done
}

healthy_managers() { target_health | grep -c $'\thealthy' || true; }

target_health() {
    aws elbv2 describe-target-health --target-group-arn "$(output Targets)" --output text \
        --query 'TargetHealthDescriptions[].[Target.Id,TargetHealth.State,TargetHealth.Reason]'
}
