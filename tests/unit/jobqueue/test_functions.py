"""Which functions jobs may call: found by parsing modules, never by importing them."""

import sys
from pathlib import Path

import pytest

from jobqueue.functions import BUILT_IN, FunctionRegistry, UnknownModule

SOURCE = '''
"""Importing this would leave a trace."""
import pathlib
pathlib.Path({trace!r}).write_text("imported")

def charge(amount): ...
async def fetch(url): ...
def _private(): ...
class Bill:
    def send(self): ...
if True:
    def conditional(): ...
CONSTANT = 1
'''


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "billing.py").write_text(SOURCE.format(trace=str(tmp_path / "trace")))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("def order(): ...\n")
    (tmp_path / "shop" / "stock.py").write_text("def count(): ...\n")
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "null.py").write_bytes(b"x = 1\0")
    return tmp_path


def _discover(modules: Path, *names: str) -> FunctionRegistry:
    return FunctionRegistry.discover(names, [str(modules)])


def test_built_in_functions_are_always_registered() -> None:
    functions = FunctionRegistry.discover(())
    assert functions.names == ("http", "noop", "sha512", "sleep") == tuple(sorted(BUILT_IN))
    assert functions.path_of("sha512") == "worker_node.functions.sha512"
    assert functions.name_of("worker_node.functions.sha512") == "sha512"


def test_public_functions_of_named_modules_are_registered(modules: Path) -> None:
    functions = _discover(modules, "billing", " shop ", "", "shop.stock")
    own = set(functions.names) - set(BUILT_IN)
    assert own == {"billing.charge", "billing.fetch", "shop.order", "shop.stock.count"}
    assert functions.path_of("billing.charge") == functions.name_of("billing.charge") == "billing.charge"


def test_nothing_is_imported(modules: Path) -> None:
    _discover(modules, "billing")
    assert not (modules / "trace").exists()
    assert "billing" not in sys.modules


@pytest.mark.parametrize(
    "name", ["billing._private", "billing.missing", "billing.Bill.send", "os.system", "billing", "", "sha512 "]
)
def test_unregistered_functions_cannot_be_submitted(modules: Path, name: str) -> None:
    assert _discover(modules, "billing").path_of(name) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("billing.charge", "billing.charge"),
        # Plain RQ clients may call everything public in a registered module, even methods.
        ("billing.Bill.send", "billing.Bill.send"),
        ("billing._private", None),
        ("billing.Bill._secret", None),
        ("billing.__builtins__", None),
        ("billingfake.charge", None),
        ("os.system", None),
        ("worker_node.functions.other", None),
        ("sha512", None),
        ("", None),
    ],
)
def test_paths_in_records_are_allowed_by_their_module(modules: Path, path: str, name: str | None) -> None:
    assert _discover(modules, "billing").name_of(path) == name


def test_the_longest_matching_module_counts(modules: Path) -> None:
    functions = _discover(modules, "shop", "shop.stock")
    assert functions.module_of("shop.stock.count") == "shop.stock"
    assert functions.module_of("shop.order") == "shop"
    assert functions.module_of("shopping.order") is None


@pytest.mark.parametrize("module", ["absent", "broken", "null", "shop.absent"])
def test_the_error_names_the_unreadable_module(modules: Path, module: str) -> None:
    with pytest.raises(UnknownModule, match=module):
        _discover(modules, module)


def test_the_first_directory_on_the_path_counts(modules: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "billing.py").write_text("def refund(): ...\n")
    functions = FunctionRegistry.discover(["billing"], [str(other), str(modules)])
    assert "billing.refund" in functions.names
    assert "billing.charge" not in functions.names


@pytest.mark.parametrize(
    "module", ["absent", "broken", "null", "shop.absent", ".", "a..b", "../billing", "billing.py "]
)
def test_a_module_that_cannot_be_read_is_noted_and_others_are_registered(modules: Path, module: str) -> None:
    functions = FunctionRegistry.load([module, "billing"], [str(modules)])
    assert "billing.charge" in functions.names
    assert list(functions.unreadable) == [module.strip()]
    assert functions.why_not_registered() == [functions.unreadable[module.strip()]]
    assert functions.why_unreadable(f"{module.strip()}.call") is not None
    assert functions.why_unreadable("billing.charge") is None


def test_edits_are_noticed_when_a_function_is_looked_up(modules: Path) -> None:
    functions = FunctionRegistry.load(["billing", "later"], [str(modules)], reloads=True)
    assert functions.path_of("billing.refund") is None
    (modules / "billing.py").write_text("def refund(): ...\n")
    assert functions.path_of("billing.refund") == "billing.refund"
    assert functions.path_of("billing.charge") is None
    assert list(functions.missing) == ["later"]
    (modules / "later.py").write_text("def come(): ...\n")
    assert "later.come" in functions.names
    (modules / "billing.py").write_text("def refund(:\n")
    assert functions.path_of("billing.refund") is None
    assert "billing.py, line 1" in str(functions.why_unreadable("billing.refund"))
    (modules / "billing.py").write_text("def refund(): ...\n")
    assert functions.why_not_registered() == []


def test_without_reloading_edits_are_only_told(modules: Path) -> None:
    functions = FunctionRegistry.load(["billing"], [str(modules)])
    assert not functions.have_changed()
    (modules / "billing.py").write_text("def refund(): ...\n")
    assert functions.path_of("billing.charge") == "billing.charge"
    assert functions.have_changed()
