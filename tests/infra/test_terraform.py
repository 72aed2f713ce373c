"""The Terraform module fits the template, and setup.sh --tfvars prepares what it needs.

Terraform itself needs the registry of its providers, and was not run: the files are parsed, and the stack is created as
the provider's documentation says that it creates it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from infra.template import render
from tests.infra.emulator import Emulator, Scripts

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "infra/terraform").glob("*.tf"))
pytestmark = pytest.mark.timeout(1200)
RESOURCE = "aws_cloudformation_stack.workmanager"


def parsed(kind: str) -> list[Any]:
    """Return the blocks of a kind, with their names, from all files of the module."""
    return [block for file in FILES for block in hcl2.loads(file.read_text()).get(kind, [])]


def section(name: str) -> set[str]:
    """Return the names in a section of the template."""
    found = re.search(rf"^{name}:\n(.*?)(^\w|\Z)", render(), re.DOTALL | re.MULTILINE)
    assert found
    return set(re.findall(r"^  (\w+):$", found[1], re.MULTILINE))


def test_every_parameter_and_output_of_the_module_is_one_of_the_template() -> None:
    (locals_,) = parsed("locals")
    changed = {key.strip('"'): str(value) for key, value in locals_["changed"].items()}
    assert set(changed) <= section("Parameters")
    # MinWorkers = var.min_workers
    snake = {name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in changed}
    assert {name: value.strip("${}") for name, value in changed.items()} == {
        name: f"var.{variable}" for name, variable in snake.items()
    }
    outputs = re.findall(
        rf'{re.escape(RESOURCE)}\.outputs\["(\w+)"\]', (ROOT / "infra/terraform/outputs.tf").read_text()
    )
    assert len(outputs) == len(parsed("output")) == 5
    assert set(outputs) <= section("Outputs")


def test_every_variable_is_declared_and_used() -> None:
    declared = {next(iter(block)).strip('"') for block in parsed("variable")}
    used = set(re.findall(r"\bvar\.(\w+)", "".join(file.read_text() for file in FILES)))
    assert declared == used
    required = {
        next(iter(block)).strip('"') for block in parsed("variable") if "default" not in next(iter(block.values()))
    }
    assert required == {"stack_name", "template_url", "parameters"}


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path) as emulator:
        yield emulator


def test_setup_prepares_all_but_the_stack_and_finds_it_as_terraform_makes_it(
    tmp_path: Path, emulator: Emulator
) -> None:
    region = emulator.region("us-east-1")
    scripts = Scripts(tmp_path, {**emulator.environ, "AWS_REGION": region.name})
    file = tmp_path / "workmanager.auto.tfvars.json"
    prepared = scripts.run("setup.sh", "--tfvars", str(file), "--max-workers", "9")
    assert prepared.exit_code == 0, prepared.errors
    cloudformation = region.client("cloudformation")
    assert region.inventory()["stacks"] == []

    variables = json.loads(file.read_text())
    assert set(variables) == {"stack_name", "template_url", "parameters"}
    assert variables["parameters"]["MaxWorkers"] == "9"
    cloudformation.create_stack(
        StackName=variables["stack_name"],
        TemplateURL=variables["template_url"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in variables["parameters"].items()],
        Capabilities=["CAPABILITY_IAM"],
        Tags=[{"Key": "workmanager:cluster", "Value": variables["stack_name"]}],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=variables["stack_name"], WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    again = scripts.run("setup.sh")
    assert again.exit_code == 0, again.errors
    assert "setup: the stack is up to date" in again.errors

    # A later run keeps the template, and tells Terraform what has changed.
    changed = scripts.run("setup.sh", "--tfvars", str(file), "--max-workers", "12")
    assert changed.exit_code == 0, changed.errors
    later = json.loads(file.read_text())
    assert later["parameters"].items() >= {**variables["parameters"], "MaxWorkers": "12"}.items()
    assert later["template_url"] == variables["template_url"]
    assert region.parameters("workmanager")["MaxWorkers"] == "9"
