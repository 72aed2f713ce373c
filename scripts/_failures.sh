# shellcheck shell=bash
# Sourced by setup.sh and teardown.sh: prints why an operation on the stack failed, wherever AWS keeps the reason.

# print_failures STACK SINCE: the failures of a stack after that event, oldest first, without what CloudFormation cancelled
# because of them. If a host signalled the failure, an event of its own names the host. If no host came up, its group
# knows why.
print_failures() {
    local resource group reason
    aws cloudformation describe-stack-events --stack-name "$1" --output text --query \
        "reverse(StackEvents[?(contains(ResourceStatus, 'FAILED') || contains(ResourceStatusReason || '', 'FAILURE signal with')) &&
            Timestamp>'$2'].[LogicalResourceId,PhysicalResourceId || '-',ResourceType,ResourceStatusReason])" |
        grep -v -e 'Resource .* cancelled' -e $'\tNone$' | while IFS=$'\t' read -r resource group type reason; do
        say "  $resource: $reason"
        _print_console "$(grep -oE 'i-[0-9a-f]{8,17}' <<<"$reason" | sed -n 1p)"
        if [ "$type" = AWS::AutoScaling::AutoScalingGroup ]; then
            _print_activity "$group"
        fi
    done
}

# _print_console INSTANCE: a host that signals FAILURE has printed the reason on its console before.
_print_console() {
    if [ -n "$1" ]; then
        # All of it is read: a program whose reader ends first fails, and the script with it.
        console "$1" | awk '!told { print } /_boot step=failed/ { told = 1 }' | tail -n 20 >&2
    fi
}

# _print_activity GROUP: the last launch that its Auto Scaling group could not make. A rollback has deleted the group.
_print_activity() {
    local found
    found="$(aws autoscaling describe-scaling-activities --include-deleted-groups --auto-scaling-group-name "$1" \
        --query "Activities[?StatusCode=='Failed'] | [0].StatusMessage" --output text 2>/dev/null || true)"
    if [ -n "$found" ] && [ "$found" != None ]; then
        say "    its last launch: $found"
    fi
}
