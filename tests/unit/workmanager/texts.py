"""A module of functions, as users write them: decorated ones are registered like any other."""

from worker_node.functions import binary
from workmanager.functions import job_function


@job_function(queue="texts", timeout=60, retry={"max": 1})
def most_common(text: str, count: int = 3) -> dict[str, int]:
    words = text.split()
    return {word: words.count(word) for word in sorted(set(words), key=words.count, reverse=True)[:count]}


@job_function()
async def later(text: str) -> str:
    return text


@job_function()
@binary
def length(data: bytes, factor: int = 1) -> int:
    return len(data) * factor
