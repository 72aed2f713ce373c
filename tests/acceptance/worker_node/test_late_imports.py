"""An executor imports RQ and asyncio only for functions that use them, whenever these import them."""

import pytest
import pytest_asyncio

from jobqueue.lifecycle.finish import Retried
from tests.acceptance.worker_node import late_import_jobs
from tests.acceptance.worker_node.slot_harness import MakeHarness, SlotHarness

LATE = late_import_jobs.__name__


@pytest_asyncio.fixture
async def harness(make_harness: MakeHarness) -> SlotHarness:
    return make_harness(modules=LATE)


async def test_an_executor_whose_functions_need_neither_imports_neither(harness: SlotHarness) -> None:
    assert await harness.value(f"{LATE}.imported") == []


@pytest.mark.parametrize("isolated", [False, True])
async def test_a_function_that_imports_rq_while_it_runs_gets_its_current_job(
    harness: SlotHarness, isolated: bool
) -> None:
    for id_ in ("first", "second"):
        assert await harness.value(f"{LATE}.own_id", id=id_, isolated=isolated) == id_
    retried = await harness.run(f"{LATE}.ask_for_another_try", isolated=isolated)
    assert isinstance(retried, Retried)
    assert await harness.value(f"{LATE}.coroutine", isolated=isolated) == 42
