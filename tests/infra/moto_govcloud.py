"""What moto lacks of aws-us-gov: AWS::Partition; instance types of its zones and Amazon's images, which are those of
another region here.

AWS Budgets are not there, so a template with one is refused, as CloudFormation refuses types of resources that it does
not know. cfn-lint has lists of each region's types, which come from CloudFormation's registry.
"""

import json
from collections.abc import Callable
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.parsing import ResourceMap
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.ssm.models import ParameterDict
from moto.utilities.utils import get_partition

GOVCLOUD, LIKE = "us-gov-west-1", "us-west-2"
MISSING = "AWS::Budgets::Budget"


def add_govcloud() -> None:
    """Add it to moto."""
    for offerings in INSTANCE_TYPE_OFFERINGS.values():
        offerings[GOVCLOUD] = json.loads(json.dumps(offerings[LIKE]).replace(LIKE, GOVCLOUD))
    AmiBackend._load_amis = _as_elsewhere(AmiBackend._load_amis)
    ParameterDict._load_latest_amis = _as_elsewhere(ParameterDict._load_latest_amis)
    ResourceMap.__init__ = _with_partition(ResourceMap.__init__)
    CloudFormationBackend.create_change_set = _unless_missing(CloudFormationBackend.create_change_set)


def _as_elsewhere(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def loaded(backend: Any) -> None:
        name = backend.region_name
        backend.region_name = LIKE if name == GOVCLOUD else name
        try:
            load(backend)
        finally:
            backend.region_name = name

    return loaded


def _with_partition(initialize: Callable[..., None]) -> Callable[..., None]:
    def initialized(resources: Any, *arguments: Any, **named: Any) -> None:
        initialize(resources, *arguments, **named)
        resources._parsed_resources["AWS::Partition"] = get_partition(resources._region_name)

    return initialized


def _unless_missing(create: Callable[..., Any]) -> Callable[..., Any]:
    def created(backend: Any, *arguments: Any, **named: Any) -> Any:
        if backend.region_name == GOVCLOUD and MISSING in str((arguments, named)):
            raise ValidationError(message=f"Template format error: Unrecognized resource types: [{MISSING}]")
        return create(backend, *arguments, **named)

    return created
