"""A stack's update as CloudFormation does it: exactly those resources change whose properties came out differently.

Moto looks at the template's text, which does not show what changes by way of another resource's attribute.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from moto.cloudformation.parsing import clean_json, parse_and_update_resource

MOST_PASSES = 10
"""A resource may change another's properties, and so on; no chain is that long."""

Properties = dict[str, Any]


def properties(stack: Any) -> dict[str, Properties | None]:
    """The resolved properties of each of a stack's resources; None where a condition leaves it out."""
    return {name: _resolve(stack.resource_map, name) for name in stack.resource_map.resources}


def change(
    stack: Any,
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    present: dict[str, Properties | None],
    names: Collection[str],
) -> list[str]:
    """Makes some of a stack's resources what the template says; none is added or removed.

    Args:
        present: their properties as they stand, which is kept up to date.
        names: of the resources that may change.

    Returns:
        The names of those that changed, in order.
    """
    resources = stack.resource_map
    resources._template, resources.input_parameters = template, dict(parameters)
    resources._resource_json_map = template["Resources"]
    resources.load()
    changed: list[str] = []
    for _ in range(MOST_PASSES):
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
    raise AssertionError(f"{different} never come to rest")


def _resolve(resources: Any, name: str) -> Properties | None:
    resource = resources._resource_json_map[name]
    if (condition := resource.get("Condition")) and not resources.lazy_condition_map[condition]:
        return None
    resolved: Properties = clean_json(copy.deepcopy(resource.get("Properties", {})), resources)
    return resolved
