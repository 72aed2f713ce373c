"""CloudFormation's rolling updates, added to moto, which changes everything at once.

An update replaces the host of each group whose launch template has a new version, one after the other. Each waits until
its predecessor has signalled SUCCESS. If a host signals FAILURE or nothing, the changes are rolled back, and the events
say why. `stack_removal` does deletions. Minutes of CloudFormation are seconds here.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.cloudformation.models import CloudFormationBackend, Event
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import EmptyResult

from tests.infra.stack_changes import Properties, change, properties
from tests.infra.stack_removal import remove

GROUPS = ("ManagerA", "ManagerB", "Witness")
"""Auto Scaling groups in the order of their DependsOn."""
SIGNAL_SECONDS = 300.0
DEREGISTERED_SECONDS = 1.0
"""Time between deregistration and termination of a host; a minute on AWS. Connections still open then are closed."""
STARTED = (
    "Rolling update initiated. Terminating 1 obsolete instance(s) in batches of 1, while keeping at least 0 instance(s)"
    " in service. Waiting on resource signals with a timeout of PT15M when new instances are added to the autoscaling"
    " group."
)
FAILED = "Received 1 FAILURE signal(s) out of 1. Unable to satisfy 100% MinSuccessfulInstancesPercent requirement"
NO_SIGNAL = "Received 0 SUCCESS signal(s) out of 1. Unable to satisfy 100% MinSuccessfulInstancesPercent requirement"


class Rollouts:
    """Patches moto within its block; for one stack at a time.

    Args:
        lock: held while instances are launched or terminated.
        running: returns the ids of the hosts that still run.

    Attributes:
        replaced: replaced hosts, in order: group, old id, new id.
    """

    def __init__(self, lock: AbstractContextManager[Any], running: Callable[[], Collection[str]]) -> None:
        self._lock = lock
        self._running = running
        self._signals: dict[str, str] = {}
        self._present: dict[str, Properties | None] = {}
        self.replaced: list[tuple[str, str, str]] = []
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        rollouts = self
        execute = CloudFormationBackend.execute_change_set
        delete = CloudFormationBackend.delete_stack
        launch = FakeAutoScalingGroup.replace_autoscaling_group_instances

        def replace_autoscaling_group_instances(group: Any, *how: Any, **named: Any) -> None:
            with rollouts._lock:
                launch(group, *how, **named)

        def execute_change_set(backend: Any, change_set_name: str, stack_name: str | None = None) -> None:
            found = (one for key, one in backend.change_sets.items() if change_set_name in (key, one.change_set_name))
            change_set = next(found)
            stack = backend.stacks[change_set.stack_id]
            if change_set.change_set_type == "CREATE":
                execute(backend, change_set_name, stack_name)
                rollouts._present = properties(stack)
                rollouts._start(rollouts._create, stack)
            else:
                stack.status = "UPDATE_IN_PROGRESS"
                rollouts._start(rollouts._update, stack, change_set)

        def delete_stack(backend: Any, name: str) -> None:
            stack = next((one for one in backend.stacks.values() if name in (one.name, one.stack_id)), None)
            if stack is None or not stack.template_dict:
                delete(backend, name)
                return
            stack.status = "DELETE_IN_PROGRESS"
            rollouts._start(rollouts._delete, stack, backend)

        def signal_resource(response: Any) -> EmptyResult:
            rollouts._signals[response._get_param("UniqueId")] = response._get_param("Status")
            return EmptyResult()

        for owner, method in (
            (FakeAutoScalingGroup, replace_autoscaling_group_instances),
            (CloudFormationBackend, execute_change_set),
            (CloudFormationBackend, delete_stack),
            (CloudFormationResponse, signal_resource),
        ):
            # moto has no signal_resource.
            self._patches.enter_context(patch.object(owner, method.__name__, method, create=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patches.close()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _create(self, stack: Any) -> None:
        stack.status = "CREATE_IN_PROGRESS"
        for name in filter(stack.resource_map.__contains__, GROUPS):
            group = stack.resource_map[name]
            if reason := group and self._wait(stack, name, group):
                _add_event(stack, name, "CREATE_FAILED", reason)
                _end(stack, "ROLLBACK_COMPLETE")
                return
        _end(stack, "CREATE_COMPLETE")

    def _update(self, stack: Any, change_set: Any) -> None:
        before = stack.template, stack.template_dict, dict(stack.resource_map.input_parameters)
        done: list[str] = []
        if failed := self._change(stack, change_set.template_dict, change_set.parameters, self._present, done):
            stack.status = "UPDATE_ROLLBACK_IN_PROGRESS"
            stack._add_stack_event(stack.status, f"The following resource(s) failed to update: [{failed}].")
            stack.template, template, parameters = before
            failed = self._change(stack, template, parameters, list(done), [])
            _end(stack, "UPDATE_ROLLBACK_FAILED" if failed else "UPDATE_ROLLBACK_COMPLETE")
            return
        stack.template, stack.template_dict = change_set.template, change_set.template_dict
        stack.parameters = change_set.parameters
        stack.output_map = stack._create_output_map()
        _end(stack, "UPDATE_COMPLETE")

    def _change(
        self,
        stack: Any,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        names: Collection[str],
        done: list[str],
    ) -> str:
        """Update resources, hosts last, and add their names to `done`. Return the name of a failed one, or ''."""
        existing = [name for name in names if self._present[name] is not None]
        with self._lock:
            others = [name for name in existing if name not in GROUPS]
            done += change(stack, template, parameters, self._present, others)
        for name in done:
            _add_event(stack, name, "UPDATE_COMPLETE")
        for name in (name for name in GROUPS if name in existing):
            with self._lock:
                has_changed = change(stack, template, parameters, self._present, [name])
            if has_changed:
                done.append(name)
                if reason := self._replace(stack, name):
                    _add_event(stack, name, "UPDATE_FAILED", reason)
                    return name
                _add_event(stack, name, "UPDATE_COMPLETE")
        return ""

    def _replace(self, stack: Any, name: str) -> str:
        group = stack.resource_map[name]
        _add_event(stack, name, "UPDATE_IN_PROGRESS", STARTED)
        old = _host(group)
        balancing = group.autoscaling_backend.elbv2_backend
        for target_group in group.target_group_arns:
            balancing.deregister_targets(target_group, [{"Id": old}])
        if group.target_group_arns:
            time.sleep(DEREGISTERED_SECONDS)
        with self._lock:
            group.set_desired_capacity(0)
        while old in self._running():
            time.sleep(0.1)
        with self._lock:
            group.set_desired_capacity(1)
        self.replaced.append((name, old, _host(group)))
        return self._wait(stack, name, group)

    def _wait(self, stack: Any, name: str, group: Any) -> str:
        """Wait for the signal of a group's host. Return the reason for a failure, or ''."""
        host, deadline = _host(group), time.monotonic() + SIGNAL_SECONDS
        while host not in self._signals:
            if time.monotonic() > deadline:
                return NO_SIGNAL
            time.sleep(0.1)
        status = self._signals[host]
        _add_event(stack, name, stack.status, f"Received {status} signal with UniqueId {host}")
        return "" if status == "SUCCESS" else FAILED

    def _delete(self, stack: Any, backend: Any) -> None:
        refusals = remove(stack, self._lock)
        for name, reason in refusals.items():
            _add_event(stack, name, "DELETE_FAILED", reason)
        if not refusals:
            del backend.stacks[stack.stack_id]
            backend.deleted_stacks[stack.stack_id] = stack
        _end(stack, "DELETE_FAILED" if refusals else "DELETE_COMPLETE")


def _host(group: Any) -> str:
    (state,) = group.instance_states
    return str(state.instance.id)


def _add_event(stack: Any, name: str, status: str, reason: str | None = None) -> None:
    resource = stack.resource_map[name]
    kind = stack.resource_map._resource_json_map[name]["Type"]
    id_ = resource.physical_resource_id if resource else ""
    stack.events.append(Event(stack.stack_id, stack.name, name, id_, kind, status, reason, None))


def _end(stack: Any, status: str) -> None:
    stack._add_stack_event(status)
    stack.status = status
