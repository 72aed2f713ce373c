"""Functions whose module imports neither RQ nor asyncio: they do so themselves, if at all."""

import sys
from typing import Any


def imported() -> list[str]:
    return [name for name in ("rq", "redis", "asyncio") if name in sys.modules]


def own_id() -> str:
    from rq import get_current_job

    job: Any = get_current_job()
    return str(job.id)


def ask_for_another_try() -> Any:
    from rq import Retry

    return Retry(max=2, interval=[1, 5])


async def coroutine() -> int:
    return 42
