"""Merging the parameters of an existing stack with changes."""

import pytest

from infra.parameters import merge, names
from infra.template import render


def test_parameters_keep_their_values_unless_changed_or_removed_from_the_template() -> None:
    previous = {"MaxWorkers": "50", "Zones": "a,b,c", "Gone": "1"}
    assert merge(previous, {"MaxWorkers": "60"}, ["Zones", "MaxWorkers", "MinWorkers"]) == {
        "Zones": "a,b,c",
        "MaxWorkers": "60",
    }


def test_a_parameter_that_is_not_in_the_template_is_refused() -> None:
    with pytest.raises(ValueError, match="MaxWorker"):
        merge({}, {"MaxWorker": "60"}, ["MaxWorkers"])


def test_the_templates_parameters_are_found() -> None:
    found = names(render())
    assert {"Bucket", "BundleSha256", "MaxWorkers", "LogDays"} <= set(found)
    assert "OwnNetwork" not in found
