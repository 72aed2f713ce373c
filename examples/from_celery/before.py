"""With Celery: tasks are declared in the program that sends them, and in the workers.

Run: celery --app before worker, and in another terminal: python before.py
"""

from celery import Celery, chord

app = Celery("before", broker="redis://localhost/0", backend="redis://localhost/1")


@app.task(autoretry_for=(ConnectionError,), max_retries=3, default_retry_delay=10, time_limit=60)
def measure(text: str) -> int:
    return len(text)


@app.task
def total(lengths: list[int]) -> int:
    return sum(lengths)


if __name__ == "__main__":
    print(measure.delay("hello").get(timeout=30))
    print([result.get() for result in [measure.delay(text) for text in ("a", "bb", "ccc")]])
    print(chord(measure.s(text) for text in ("a", "bb", "ccc"))(total.s()).get())
    measure.apply_async(("later",), countdown=60, queue="slow")
