"""What CloudFormation does with hosts: it waits for their signals, and replaces them one after the other.

Put on top of moto by `Rollouts`, which replaces the hosts of each group whose launch template has another version than
they have, in the template's order, each when its predecessor has said SUCCESS. A FAILURE ends it, and says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import EmptyResult

GROUPS = ("ManagerA", "ManagerB", "Witness")
SIGNAL_SECONDS = 300.0


class Rollouts:
    """Of one stack.

    Args:
        lock: under which instances come to be, whole.
        running: the ids of hosts that are still on.

    Attributes:
        replaced: groups whose hosts were replaced, in order.
    """

    def __init__(self, lock: AbstractContextManager[Any], running: Callable[[], Collection[str]]) -> None:
        self._running = running
        self._signals: dict[str, str] = {}
        self.replaced: list[str] = []
        rollouts = self
        execute = CloudFormationBackend.execute_change_set
        launch = FakeAutoScalingGroup.replace_autoscaling_group_instances

        def replace_autoscaling_group_instances(group: Any, *how: Any, **named: Any) -> None:
            with lock:
                launch(group, *how, **named)

        def execute_change_set(backend: Any, change_set_name: str, stack_name: str | None = None) -> None:
            execute(backend, change_set_name, stack_name)
            stack = backend.get_stack(stack_name)
            creating = stack.status == "CREATE_COMPLETE"
            _say(stack, "CREATE_IN_PROGRESS" if creating else "UPDATE_IN_PROGRESS")
            threading.Thread(target=rollouts._run, args=(stack, creating), daemon=True).start()

        def signal_resource(response: Any) -> EmptyResult:
            rollouts._signals[response._get_param("UniqueId")] = response._get_param("Status")
            return EmptyResult()

        FakeAutoScalingGroup.replace_autoscaling_group_instances = replace_autoscaling_group_instances
        CloudFormationBackend.execute_change_set = execute_change_set
        CloudFormationResponse.signal_resource = signal_resource

    def _run(self, stack: Any, creating: bool) -> None:
        what = "CREATE" if creating else "UPDATE"
        for name in GROUPS:
            group = stack.resource_map[name]
            if not creating:
                if not self._is_outdated(group):
                    continue
                self._replace(group)
                self.replaced.append(name)
            (host,) = (state.instance for state in group.instance_states)
            if reason := self._wait(host.id):
                _say(stack, f"{what}_FAILED", reason)
                _say(stack, "ROLLBACK_COMPLETE" if creating else "UPDATE_ROLLBACK_COMPLETE")
                return
        _say(stack, f"{what}_COMPLETE")

    def _is_outdated(self, group: Any) -> bool:
        (state,) = group.instance_states
        wanted = group.ec2_launch_template.get_version(group.launch_template_version).data["UserData"]
        return bool(state.instance.user_data != wanted)

    def _replace(self, group: Any) -> None:
        (state,) = group.instance_states
        group.instance_states.clear()
        group.ec2_backend.terminate_instances([state.instance.id])
        while state.instance.id in self._running():
            time.sleep(0.1)
        group.replace_autoscaling_group_instances(1, group.get_propagated_tags())

    def _wait(self, host: str) -> str:
        deadline = time.monotonic() + SIGNAL_SECONDS
        while host not in self._signals:
            if time.monotonic() > deadline:
                return f"Failed to receive 1 resource signal(s) within the specified duration: {host}"
            time.sleep(0.1)
        return "" if self._signals[host] == "SUCCESS" else f"Received FAILURE signal with UniqueId {host}"


def _say(stack: Any, status: str, reason: str | None = None) -> None:
    stack.status = status
    stack._add_stack_event(status, resource_status_reason=reason)
