# shellcheck shell=bash
# shellcheck disable=SC2154  # the script that sources this sets `name`
# Sourced by setup.sh and teardown.sh: brings a stack that an earlier run left half way into a state from which it can be
# changed or deleted.

poll_seconds="${WORKMANAGER_POLL_SECONDS:-10}"
operation_seconds=7200

# is_live: whether the stack exists with its hosts, so that it can be updated; a stack whose creation failed can only be
# deleted
is_live() {
    case "$(stack_status)" in
    none | REVIEW_IN_PROGRESS | ROLLBACK_* | CREATE_FAILED | DELETE_*) return 1 ;;
    esac
}

# Waits for an operation of an earlier run, and ends a rollback that got stuck.
settle_stack() {
    local deadline=$((SECONDS + operation_seconds)) said=''
    while :; do
        case "$(stack_status)" in
        REVIEW_IN_PROGRESS) return ;;
        *_IN_PROGRESS)
            [ "$SECONDS" -lt "$deadline" ] || fail "the stack $name is still $(stack_status) after two hours"
            [ "$said" = "$(stack_status)" ] || say "the stack is $(stack_status); waiting until that is over"
            said="$(stack_status)"
            sleep "$poll_seconds"
            ;;
        UPDATE_ROLLBACK_FAILED) continue_rollback ;;
        *) return ;;
        esac
        describe_stack
    done
}

continue_rollback() {
    local since
    since="$(latest_event)"
    say "the stack is UPDATE_ROLLBACK_FAILED; continuing the rollback"
    aws cloudformation continue-update-rollback --stack-name "$name" || fail "the rollback cannot be continued (see above)"
    if ! aws cloudformation wait stack-rollback-complete --stack-name "$name" 2>/dev/null; then
        say "the rollback failed again, because of"
        print_failures "$name" "$since"
        fail "mend that, and run $script again; or leave resources as they are:" \
            "aws cloudformation continue-update-rollback --stack-name $name --resources-to-skip NAME..."
    fi
}

# A stack whose creation failed can only be deleted.
clear_failed_stack() {
    local since
    case "$(stack_status)" in
    ROLLBACK_COMPLETE | ROLLBACK_FAILED | REVIEW_IN_PROGRESS | CREATE_FAILED | DELETE_FAILED) ;;
    *) return 0 ;;
    esac
    since="$(latest_event)"
    say "deleting the remains of a stack that is $(stack_status)"
    aws cloudformation delete-stack --stack-name "$name" || fail "the stack cannot be deleted (see above)"
    if ! aws cloudformation wait stack-delete-complete --stack-name "$name"; then
        say "they cannot be deleted, because of"
        print_failures "$name" "$since"
        fail "mend that, and run $script again"
    fi
    describe_stack
}

# latest_event: prints when the stack's latest event was, by AWS's clock: this machine's can be minutes ahead
latest_event() {
    local found
    found="$(aws cloudformation describe-stack-events --stack-name "$name" --max-items 1 \
        --query 'StackEvents[0].Timestamp' --output text 2>/dev/null || echo 0)"
    echo "${found%%$'\n'*}" # aws-cli prints on another line that there are more
}
