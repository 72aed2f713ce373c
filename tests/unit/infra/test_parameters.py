from __future__ import annotations

import pytest

from infra.parameters import merge, names
from infra.template import render


def test_what_is_not_named_keeps_its_value_and_what_the_template_forgot_is_left_out() -> None:
    previous = {"MaxWorkers": "50", "Zones": "a,b,c", "Gone": "1"}
    assert merge(previous, {"MaxWorkers": "60"}, ["Zones", "MaxWorkers", "MinWorkers"]) == {
        "Zones": "a,b,c",
        "MaxWorkers": "60",
    }


def test_a_parameter_that_the_template_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="MaxWorker"):
        merge({}, {"MaxWorker": "60"}, ["MaxWorkers"])


def test_the_templates_parameters_are_found() -> None:
    found = names(render())
    assert {"Bucket", "BundleSha256", "MaxWorkers", "LogDays"} <= set(found)
    assert "OwnNetwork" not in found
