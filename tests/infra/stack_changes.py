"""CloudFormation's update of a stack: exactly those resources change whose resolved properties differ.

Moto compares the template's text, which does not show changes of another resource's attributes.
"""

import copy
from collections.abc import Collection, Mapping
from typing import Any

from moto.cloudformation.parsing import clean_json, parse_and_update_resource

MAX_PASSES = 10
"""A change of one resource can change the properties of another, and so on. No chain is this long."""

Properties = dict[str, Any]


def properties(stack: Any) -> dict[str, Properties | None]:
    """Return the resolved properties of each resource of a stack; None if a condition excludes it."""
    return {name: _resolve(stack.resource_map, name) for name in stack.resource_map.resources}


def change(
    stack: Any,
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    present: dict[str, Properties | None],
    names: Collection[str],
) -> list[str]:
    """Update some of a stack's resources by the template; add or remove none.

    Args:
        present: the current properties of all resources; updated by this call.
        names: the resources that may change.

    Returns:
        the names of the changed resources, in order.
    """
    resources = stack.resource_map
    resources._template, resources.input_parameters = template, dict(parameters)
    resources._resource_json_map = template["Resources"]
    resources.load()
    changed: list[str] = []
    for _ in range(MAX_PASSES):
        different = [name for name in names if _resolve(resources, name) != present[name]]
        if not different:
            return changed
        for name in different:
            present[name] = _resolve(resources, name)
            resource = parse_and_update_resource(
                name,
                copy.deepcopy(template["Resources"][name]),
                resources,
                account_id=stack.account_id,
                region_name=stack.region_name,
            )
            resources._parsed_resources[name] = resource
            changed.append(name)
    raise AssertionError(f"{different} change again after {MAX_PASSES} passes")


def _resolve(resources: Any, name: str) -> Properties | None:
    resource = resources._resource_json_map[name]
    if (condition := resource.get("Condition")) and not resources.lazy_condition_map[condition]:
        return None
    resolved: Properties = clean_json(copy.deepcopy(resource.get("Properties", {})), resources)
    return resolved
